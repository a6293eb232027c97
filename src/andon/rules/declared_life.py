"""When what was declared outside the agent's root may go: checkouts of adopted runners, entries of caches (R47, R48).

Pure. An age is never evidence that nobody uses something: it only keeps what is young. Who uses it the kernel says,
with its lock held, right before the rename.
"""

from collections.abc import Container, Iterable
from datetime import timedelta
from enum import StrEnum

import msgspec

from andon.rules.workspace_life import SILENT_AFTER

DAY_S = timedelta(days=1).total_seconds()
LEAST_CHECKOUT_DAYS = SILENT_AFTER / timedelta(days=1)
"""Longer than the longest job (R48): nothing younger goes, whatever is configured."""


class InWork(StrEnum):
    """What a name in a runner's work folder is."""

    RUNNERS = "runners"
    """The runner's own: its tools, its actions, its temporary files, the map of its checkouts. Never ours to take."""
    CHECKOUT = "checkout"
    """A repository's folder, with the checkout of the same name in it, as the runner makes them."""
    STRANGE = "strange"
    """Neither: reported, and never touched."""


def kind_in_work(name: str, *, is_folder: bool, inside: frozenset[str]) -> InWork:
    """`inside` are the first names in it. An empty one of any name is where a repository's was, or will be at once."""
    if name.startswith(("_", ".")):
        return InWork.RUNNERS
    if is_folder and (not inside or name in inside):
        return InWork.CHECKOUT
    return InWork.STRANGE


def checkout_is_old(changed_at: float, now: float, days: float) -> bool:
    """Whether nothing in it changed for so long. `changed_at` and `now` are times of day in seconds."""
    return now - changed_at >= max(days, LEAST_CHECKOUT_DAYS) * DAY_S


class CacheEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a cache."""

    id: str
    bytes: int
    used_at: float
    """When it, or something in it, was last read or written, in seconds of the day's time."""


def beyond_cap(
    entries: Iterable[CacheEntry], cap: int, *, used_before: float, held: Container[str] = ()
) -> tuple[str, ...]:
    """Which go so that the others fit into `cap` bytes: the least recently used first, none that was used since, and
    none that is `held`, for which others go."""
    entries = sorted(entries, key=lambda one: (one.used_at, one.id))
    excess = sum(one.bytes for one in entries) - cap
    out: list[str] = []
    for one in entries:
        if excess <= 0 or one.used_at >= used_before:
            break
        if one.id not in held:
            out.append(one.id)
            excess -= one.bytes
    return tuple(out)
