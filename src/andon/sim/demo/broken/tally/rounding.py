"""Whole percentages that add up."""

from collections.abc import Sequence


def percentages(counts: Sequence[int]) -> list[int]:
    """The share of each count in whole percent; together they are 100, or 0 when all counts are.

    Every share is rounded to the nearest whole number.
    """
    total = sum(counts)
    if total == 0:
        return [0 for _ in counts]
    return [round(count * 100 / total) for count in counts]
