"""The exit codes of every command (interfaces.md section 2, R90)."""

FINE = 0
FINDING = 1
"""Something that somebody should look at: a withheld job, a silent host, a warning; and a program that
serves and broke, whose unit starts it again, which it would not after 2."""
UNUSABLE = 2
"""Could not evaluate, bad usage, unknown id, unusable configuration."""
