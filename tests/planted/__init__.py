"""Bugs planted on purpose, one a patch, and the command that looks whether the tests find them (limits.md 6, row 16).

`NN-name.patch`: the first line names the incident that the bug would bring back and says what is broken; what
follows is a small unified diff of one or two places. `python -m tests.planted` plants each in a copy of the
sources, runs what should find it, takes it back, and prints a table.
"""
