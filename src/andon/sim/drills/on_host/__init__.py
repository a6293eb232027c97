"""Drills on this host: a real agent, its hooks and real processes, files and sockets, in a folder of their own (R88).

A file each, `p03_...py` for P3, as beside the simulated ones: a title, and a story that acts on a `Stage` and notes
violations. The control plane is a stand-in that says what the story wants; so is the runner, a script.
"""
