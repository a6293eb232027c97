"""Puts together what frees declared places, for one agent."""

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from andon.agent.adoption.slots import AdoptedSlot
from andon.agent.declared.caches import Caches
from andon.agent.declared.checkouts import Checkouts
from andon.agent.declared.images import EngineImages
from andon.agent.declared.removing import DeclaredRemover
from andon.agent.declared.room import DeclaredRoom
from andon.agent.declared.steady_time import steady_time
from andon.agent.declared.things import Thing
from andon.agent.disk.removals import Removals
from andon.model.config import Disk
from andon.model.rails import RailMode
from andon.model.workspaces import LeaseRecord
from andon.rules.disk_plan import Rank
from andon.runtime.clock import Clock, seconds_since_boot
from andon.runtime.ids import new_mark
from andon.runtime.logging import Logger


class Neighbours(msgspec.Struct, frozen=True, kw_only=True):
    """What the rest of the agent knows and does."""

    adopted: Callable[[], tuple[AdoptedSlot, ...]]
    records: Callable[[], Iterable[LeaseRecord]]
    wanted: Callable[[], frozenset[str]]
    """The ids of what must go for its room."""
    mode: Callable[[], RailMode]
    passed: Callable[[Path, int, int], None]
    changed: Callable[[], None]


def declared_room_of(
    disk: Disk,
    trash: Path,
    removals: Removals,
    near: Neighbours,
    *,
    environ: Mapping[str, str],
    clock: Clock,
    log: Logger,
) -> DeclaredRoom:
    """What `disk` declares; `trash` is the agent's own."""
    stop = threading.Event()
    now = steady_time(clock.now, seconds_since_boot)

    def go_on() -> bool:
        return not stop.is_set()

    checkouts = Checkouts(near.adopted, near.records, disk.checkout_days, now=now, go_on=go_on)

    def why_stays(one: Thing) -> str | None:
        return checkouts.why_stays(one) if one.rank is Rank.CHECKOUT else None

    return DeclaredRoom(
        checkouts,
        Caches(disk.cache, now=now, go_on=go_on),
        EngineImages(
            disk.images,
            removals.of_declared,
            passed=near.passed,
            environ=environ,
            nonce=new_mark,
            clock=clock,
            log=log,
        ),
        DeclaredRemover(trash, removals.of_declared, why_stays, nonce=new_mark, clock=clock),
        wanted=near.wanted,
        mode=near.mode,
        changed=near.changed,
        stop=stop,
        clock=clock,
        log=log,
    )
