"""The disk guard: how much room each filesystem of this host has, and what is done when it gets short (R52).

In: what statvfs says, the marks of `[agent.disk]`, the guard's switch. Out: levels, with which slots take no more
jobs; nudges to those who take things away by their own rules (`agent.workspaces`); the ballast; and the report for
the control plane. What follows from a number is decided in `rules.disk_marks` and `rules.disk_forecast`.
"""
