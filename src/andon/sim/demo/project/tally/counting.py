"""Counts what is in a text."""

from collections import Counter
from typing import NamedTuple

from .words import sentences, words


class Counts(NamedTuple):
    """How much of what a text holds."""

    lines: int
    sentences: int
    words: int
    distinct_words: int
    characters: int


def count(text: str) -> Counts:
    """Counts everything; an empty text has nothing of anything."""
    found = Counter(words(text))
    return Counts(
        lines=len(text.splitlines()),
        sentences=len(sentences(text)),
        words=found.total(),
        distinct_words=len(found),
        characters=len(text),
    )


def most_common(text: str, limit: int) -> list[tuple[str, int]]:
    """The `limit` most frequent words, and in the order of the alphabet where they are equal."""
    found = Counter(words(text))
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
