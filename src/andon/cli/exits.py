"""The exit codes of every command (interfaces.md section 2, R90)."""

FINE = 0
FINDING = 1
"""Something that somebody should look at: a withheld job, a silent host, a warning."""
UNUSABLE = 2
"""Could not evaluate, bad usage, unknown id, unusable configuration."""
CRASHED = 3
"""A program that serves ended by a fault of its own: its unit starts it again, which 2 would not."""
