"""Hostile text made fit to be shown: names and logs come from whoever may open a pull request.

Escaping is the templates' part. Here goes what escaping leaves: terminal colours, control
characters, and the marks that turn the direction of writing, which can make one name look like
another.
"""

import re

_TERMINAL = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_KEPT = {ord("\n"), ord("\t")}
_HIDDEN = [*range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_REPLACED = {code: "�" for code in _HIDDEN if code not in _KEPT}


def shown(text: str) -> str:
    """The text with a visible mark where a character would hide or turn others."""
    return text if text.isascii() and text.isprintable() else text.translate(_REPLACED)


def log_text(text: str, limit: int = 8192) -> str:
    """The end of a log without terminal codes, at most `limit` characters."""
    plain = _TERMINAL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return plain if len(plain) <= limit else "…" + plain[-limit:]
