"""The drills: what happened to real fleets, by its number in the incident book, played on virtual time (R88).

A file each, `t04_...py` for T4: a title, and a story that acts on a `Simulation` and notes violations. To add
one, add its file; `book.py` finds it by its name.
"""
