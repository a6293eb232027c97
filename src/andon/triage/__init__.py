"""Yours or ours: log, structure and fleet events in, a verdict with evidence out (design.md section 3).

Pure: what it judges is handed in.
"""
