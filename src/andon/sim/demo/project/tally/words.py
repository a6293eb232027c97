"""Takes a text apart into words and sentences."""

import re
from collections.abc import Iterator

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)")


def words(text: str) -> Iterator[str]:
    """Every word in lower case; `don't` and `well-known` are one word each."""
    for found in _WORD.finditer(text):
        yield found.group().lower()


def sentences(text: str) -> list[str]:
    """The sentences without their full stops; empty ones are left out."""
    return [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]
