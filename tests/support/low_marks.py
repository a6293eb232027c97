"""Marks for agents of tests: a full disk of this machine fails none, and their ballast takes next to nothing."""

LOW_MARKS = """\
[agent.disk]
soft_percent = 0.003
hard_percent = 0.002
emergency_percent = 0.001
"""
