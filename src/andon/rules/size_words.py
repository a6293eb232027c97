"""Sizes in words for people, the same in reasons, reports and pages."""


def size(count: object) -> str:
    """Bytes as `12.3 GiB`; anything that is no number of bytes as `unknown`."""
    if not isinstance(count, int | float) or isinstance(count, bool) or count < 0:
        return "unknown"
    left = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if left < 1024:
            return f"{left:.0f} {unit}" if unit == "B" else f"{left:.1f} {unit}"
        left /= 1024
    return f"{left:.1f} TiB"
