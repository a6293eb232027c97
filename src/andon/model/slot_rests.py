"""How long a slot rests whose runners end before they serve: the table of `rules.slot_rest` (N3).

Each failed start costs four calls to GitHub and leaves a registration behind for a moment; without a
rest a broken host would cost them again and again, for as long as there is work for it.
"""

from datetime import timedelta

RESTS: tuple[timedelta, ...] = (
    # One failed start may be chance, and its job must be dispatched again within 30 s (R27).
    timedelta(0),
    timedelta(seconds=10),
    timedelta(seconds=30),
    timedelta(minutes=1),
    timedelta(minutes=2),
    timedelta(minutes=5),
    timedelta(minutes=15),
)
"""After so many failed starts in a row, from one; the last is for all that follow."""

LIVED_LONG = timedelta(minutes=10)
"""A runner that lived so long before it ended says nothing against its slot, and forgets what was."""
