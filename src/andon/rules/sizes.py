"""Sizes as people write them: "5 GiB", "500 MB"."""

import re

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(?:B|([KMGT])(i?)B)")
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(text: str) -> int | None:
    """Bytes; None when it is no size. KiB is 1024, kB would be 1000 and is written KB here."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    number, prefix, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS.get(prefix or "", 0))


def shown_size(count: int) -> str:
    """For people, in the unit in which it has one to three digits before the point."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
