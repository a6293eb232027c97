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
