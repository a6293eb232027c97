"""What takes the room of each filesystem: bytes by class, what may go, and what pins the rest, by whom (R47, R52).

Worked out beside everything else, now and then; who asks gets the last account.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path

import msgspec

from andon.agent.declared.things import Thing
from andon.agent.disk.evictions import Evictions
from andon.agent.disk.filesystems import room_at
from andon.agent.disk.inventory import Inventory, Owned
from andon.agent.disk.which_filesystem import WhichFilesystem
from andon.model.caches import CacheReport
from andon.model.config import Disk
from andon.model.disk import ClassTotal, DiskLevel, Going, GuardPass, PathClass, Pinned
from andon.model.wire import LeaseReport
from andon.model.workspaces import LeaseRecord
from andon.rules.disk_marks import level_of
from andon.rules.disk_plan import cheapest_first
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop

LOOK_S = 30.0
PASSES_KEPT = 10
SAID_AGAIN = timedelta(minutes=10)
"""Between two lines that say of the same filesystem that nothing could go."""
_MOST = 20


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """The account of one filesystem."""

    path: str = ""
    """A directory on it."""
    classes: tuple[ClassTotal, ...] = ()
    going: tuple[Going, ...] = ()
    """In the order in which they would go."""
    pinned: tuple[Pinned, ...] = ()
    """The largest first; what is not measured yet comes last."""
    unknown: tuple[str, ...] = ()
    """Paths of no class that we know."""
    passes: tuple[GuardPass, ...] = ()
    """Newest first."""
    caches: tuple[CacheReport, ...] = ()


class Account:
    """`over` gives the records that may go for their room; `reports` every workspace with why it is there; `declared`
    what may go outside the root, `held` what of that does not, and why."""

    def __init__(
        self,
        inventory: Inventory,
        size_of: Callable[[Path, tuple[int, int]], int | None],
        over: Callable[[], tuple[LeaseRecord, ...]],
        reports: Callable[[], Iterable[LeaseReport]],
        evictions: Evictions,
        marks: Disk,
        *,
        caches: Callable[[], Mapping[Path, CacheReport]] = dict,
        declared: Callable[[], tuple[Thing, ...]] = tuple,
        held: Callable[[], tuple[Pinned, ...]] = tuple,
        changed: Callable[[], None],
        clock: Clock,
        log: Logger,
    ) -> None:
        self._declared, self._held = declared, held
        self._inventory, self._size_of, self._over, self._reports = inventory, size_of, over, reports
        self._evictions, self._marks, self._changed = evictions, marks, changed
        self._caches = caches
        self._clock, self._log = clock, log
        self._shares: dict[str, Share] = {}
        self._passes: dict[str, deque[GuardPass]] = {}
        self._said: frozenset[str] = frozenset()
        self.loop = Loop("account", self.look, period=LOOK_S, clock=clock, log=log)

    def share(self, device: str) -> Share:
        """The last account of this filesystem (`major:minor`, as mounts name it)."""
        return self._shares.get(device, Share())

    def shares(self) -> dict[str, Share]:
        """The last account of every filesystem that has one."""
        return dict(self._shares)

    def passed(self, trash: Path, names: int, freed: int) -> None:
        """An emptying is over: so many names went, and so many bytes more are free. From any thread."""
        try:
            device, room = WhichFilesystem().of(trash, trash.lstat().st_dev), room_at(trash)
        except OSError:
            return
        self._add(
            device, GuardPass(at=self._clock.now(), level=level_of(room, self._marks), removed=names, freed=freed)
        )

    async def look(self) -> None:
        """Works it out anew."""
        over, reports = self._over(), {one.path: one for one in self._reports()}
        shares = await asyncio.to_thread(self._work_out, over, reports, dict(self._caches()))
        self._say_unknown(shares)
        if shares != self._shares:
            self._shares = shares
            self._changed()

    def _work_out(
        self,
        over: tuple[LeaseRecord, ...],
        reports: dict[str | None, LeaseReport],
        caches: Mapping[Path, CacheReport],
    ) -> dict[str, Share]:
        by_device: dict[str, list[Owned]] = {}
        which = WhichFilesystem()
        for one in self._inventory.take():
            sized = msgspec.structs.replace(one, bytes=self._size_of(one.path, one.identity))
            by_device.setdefault(which.of(one.path, one.identity[0]), []).append(sized)
        short = self._evictions.filesystems(over)
        things, held = {one.id: one for one in self._declared()}, self._held_by_device(which)
        places = {device: each[0].path for device, each in held.items()}
        places |= {which.of(one.path, one.identity[0]): str(one.path) for one in things.values()}
        places |= {device: str(owned[0].path) for device, owned in by_device.items()}
        out: dict[str, Share] = {}
        for device, path in places.items():
            owned = by_device.get(device, [])
            may_go = short[device].candidates if device in short else ()
            ids = [each.id for each in cheapest_first(may_go)]
            leases = {one.lease: one for one in owned if one.lease is not None}
            going = (
                *(_going(leases[id], reports) for id in ids if id in leases),
                *(_declared_going(things[id]) for id in ids if id in things),
            )
            pinned = sorted(
                (one for one in owned if one.lease is not None and one.lease not in ids),
                key=lambda one: (one.bytes is None, -(one.bytes or 0), str(one.path)),
            )
            self._say_pinned(device, path, owned, bool(going))
            out[device] = Share(
                path=path,
                classes=_totals(owned),
                going=going[:_MOST],
                pinned=(*(_pinned(one, reports) for one in pinned), *held.get(device, ()))[:_MOST],
                unknown=tuple(sorted(str(one.path) for one in owned if one.path_class is PathClass.UNKNOWN))[:_MOST],
                passes=tuple(self._passes.get(device, ())),
                caches=tuple(caches[one.path] for one in owned if one.path in caches),
            )
        return out

    def _held_by_device(self, which: WhichFilesystem) -> dict[str, list[Pinned]]:
        out: dict[str, list[Pinned]] = {}
        for one in self._held():
            with contextlib.suppress(OSError):
                out.setdefault(which.of(Path(one.path), Path(one.path).lstat().st_dev), []).append(one)
        return out

    def _say_pinned(self, device: str, path: str, owned: list[Owned], going: bool) -> None:
        """A pass that could free nothing is a pass, too: it says so (R52)."""
        try:
            level = level_of(room_at(path), self._marks)
        except OSError:
            return
        trashed = any(one.path_class is PathClass.TRASH for one in owned)
        if level is DiskLevel.OK or going or trashed:
            return
        now, last = self._clock.now(), next(iter(self._passes.get(device, ())), None)
        if last is None or last.level is not level or now - last.at >= SAID_AGAIN:
            self._add(device, GuardPass(at=now, level=level))
            self._log.warning("disk.pinned", path=path, level=level.value, workspaces=len(owned))

    def _say_unknown(self, shares: dict[str, Share]) -> None:
        """Once for each path: nobody's bytes are an alarm (incidents.md P13)."""
        unknown = frozenset(path for share in shares.values() for path in share.unknown)
        for path in sorted(unknown - self._said):
            self._log.warning(
                "disk.unclassified", path=path, reason="nothing of ours has such a name; it is not touched"
            )
        self._said = unknown

    def _add(self, device: str, one: GuardPass) -> None:
        self._passes.setdefault(device, deque(maxlen=PASSES_KEPT)).appendleft(one)


def _totals(owned: Iterable[Owned]) -> tuple[ClassTotal, ...]:
    counts: dict[PathClass, int] = {}
    sizes: dict[PathClass, int] = {}
    for one in owned:
        counts[one.path_class] = counts.get(one.path_class, 0) + 1
        if one.bytes is not None:
            sizes[one.path_class] = sizes.get(one.path_class, 0) + one.bytes
    return tuple(ClassTotal(path_class=each, bytes=sizes.get(each), count=counts[each]) for each in sorted(counts))


def _going(one: Owned, reports: dict[str | None, LeaseReport]) -> Going:
    report = reports.get(str(one.path))
    return Going(
        path=str(one.path),
        lease=one.lease or "",
        owner=one.owner,
        bytes=one.bytes,
        why="; ".join(report.held_by) if report is not None else "",
    )


def _declared_going(one: Thing) -> Going:
    return Going(path=str(one.path), lease="", owner=one.owner, bytes=one.bytes, why=one.why)


def _pinned(one: Owned, reports: dict[str | None, LeaseReport]) -> Pinned:
    report = reports.get(str(one.path))
    by = "; ".join(report.held_by) if report is not None and report.held_by else "its job runs"
    return Pinned(path=str(one.path), by=f"{one.owner}: {by}", bytes=one.bytes, lease=one.lease)
