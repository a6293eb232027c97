"""Whole percentages that add up."""

from collections.abc import Sequence


def percentages(counts: Sequence[int]) -> list[int]:
    """The share of each count in whole percent; together they are 100, or 0 when all counts are.

    Every share is rounded down, and the points that are left over go to the largest remainders.
    """
    total = sum(counts)
    if total == 0:
        return [0 for _ in counts]
    shares = [count * 100 // total for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda place: -(counts[place] * 100 % total))
    for place in by_remainder[: 100 - sum(shares)]:
        shares[place] += 1
    return shares
