"""The host agent: starts runners, watches them, says what became of them. Never judges.

It survives the control plane's absence and its own restart without ending a job (R86, R87): every
runner hangs on a small program of its own (`programs/shim.py`), and all that the agent must know
after a restart stands in the slot directories.
"""
