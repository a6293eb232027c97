"""What the demo works on: a small real project, as a git repository, and the runs that build it."""
