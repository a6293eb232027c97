"""Durations in words for people; the page's script says them the same way."""


def duration(seconds: float) -> str:
    """`42 s`, `4 min 12 s`, `1 h 04 min` or `2 d 3 h`. What lies ahead counts as now."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
