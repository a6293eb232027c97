"""Yours or ours: log, structure and fleet events in, a verdict with evidence out. Pure; no I/O (design.md section 3)."""
