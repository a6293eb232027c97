"""Randomness that is handed in, as time is: a seed makes the same numbers on every machine."""

import random

Chance = random.Random
"""A source of randomness; whoever made it says with which seed."""


def seeded(text: str) -> Chance:
    """The chance of this text."""
    return Chance(text)
