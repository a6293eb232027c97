"""Writes the counts as a small table."""

from .counting import count, most_common
from .rounding import percentages


def report(text: str, *, common: int = 5) -> str:
    """A few lines for people: the counts first, then the most common words with their shares."""
    counts = count(text)
    lines = [f"{name.replace('_', ' '):<16}{value:>8}" for name, value in counts._asdict().items()]
    top = most_common(text, common)
    rest = counts.words - sum(number for _, number in top)
    shares = percentages([number for _, number in top] + [rest])
    for (word, number), share in zip([*top, ("(others)", rest)], shares, strict=True):
        lines.append(f"{word:<16}{number:>8}{share:>5} %")
    return "\n".join(lines) + "\n"
