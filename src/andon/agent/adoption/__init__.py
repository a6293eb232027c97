"""Persistent runners that were here before us: adopted as they are, reversibly (interfaces.md 3, R62).

In: a runner's folder that an operator names, and what the control plane wants of its slot. Out: two
lines in its `.env`, scripts that its jobs call, its slot in each report, and a listener that lives
when it should. Nothing here ends a job: whatever is done to a listener waits until no job process
of its folder lives (R37).
"""
