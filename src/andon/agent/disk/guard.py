"""Watches the filesystems of this host, and does what their levels ask for (R52, R53, R54).

It takes nothing away itself: it says that space is needed to those who do, by their own rules and leases. A look
that fails, or a filesystem that does not answer, changes nothing (law 4). It looks between jobs as well as during
them.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from andon.agent.disk.account import Share
from andon.agent.disk.ballast import Ballast
from andon.agent.disk.filesystems import Filesystem, Filesystems
from andon.agent.disk.seat import Seat
from andon.model.config import Disk
from andon.model.disk import DiskLevel, DiskReport, PathClass
from andon.model.rails import RailMode
from andon.rules.disk_closing import CLOSED, why_closed
from andon.rules.disk_forecast import Look, full_in_s, kept
from andon.rules.disk_marks import ballast_of, floor_of, level_of
from andon.rules.size_words import size
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop, Nudge

LOOK_S = 5.0
HURRY_S = 1.0
"""Between two looks while a job runs or a filesystem is short of room: a build writes a GiB in a few seconds."""
TELL_S = 60.0
"""How old a number may be that the control plane has, when it changed a little."""
BALLAST_AGAIN_S = 60.0
"""How long what the ballast gave up is left to whoever needs it."""
_MUCH = 0.01
"""The part of a filesystem that is told at once when it comes or goes."""
_ROOMY = frozenset({DiskLevel.OK, DiskLevel.SOFT})


class Acts(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard can ask for. Who does it goes by the guard's switch, too."""

    make_room: Callable[[], None]
    """What need not be kept may go now."""
    empty_trash: Callable[[], None]
    """What was put aside may go now, without its minute."""


class _State:
    """What is remembered of one filesystem between two looks."""

    def __init__(self) -> None:
        self.level = DiskLevel.OK
        self.looks: tuple[Look, ...] = ()
        self.why: str | None = None
        """In the words of the look that closed it: with the numbers of each look it would be told again each time."""
        self.last: DiskReport | None = None
        self.told: DiskReport | None = None
        self.told_at = 0.0
        self.paths: frozenset[Path] = frozenset()


class Guard:
    """`home` is the agent's root, where the ballast lies. `changed` is nudged when the control plane should hear of
    something; `busy` says whether a job runs on this host; `share_of` what takes the room of a filesystem."""

    def __init__(
        self,
        filesystems: Filesystems,
        ballast: Ballast,
        seat: Seat,
        home: Path,
        marks: Disk,
        acts: Acts,
        *,
        mode: Callable[[], RailMode],
        busy: Callable[[], bool],
        share_of: Callable[[str], Share],
        up_s: Callable[[], float],
        changed: Nudge,
        clock: Clock,
        log: Logger,
    ) -> None:
        self._filesystems, self._ballast, self._seat, self._home = filesystems, ballast, seat, home
        self._marks, self._acts, self._mode, self._busy, self._up_s = marks, acts, mode, busy, up_s
        self._share_of, self._changed, self._clock, self._log = share_of, changed, clock, log
        self._states: dict[str, _State] = {}
        self._closed: dict[int, str] = {}
        self._untold: frozenset[Path] = frozenset()
        self._refused = False
        self._dropped_at: float | None = None
        self._ballast_trouble: str | None = None
        self.loop = Loop("disk", self.look, period=LOOK_S, clock=clock, log=log)

    def reports(self) -> tuple[DiskReport, ...]:
        """Every filesystem as the control plane is told of it: not each byte at once, but each level."""
        told = (state.told for state in self._states.values())
        return tuple(sorted((one for one in told if one is not None), key=lambda one: one.mount))

    def why_closed(self, slot: int) -> str | None:
        """Why no job may begin on this slot now; None: its filesystems have room, or cannot be told."""
        return self._closed.get(slot)

    def no_room(self) -> None:
        """A write below the root was refused for want of room, whatever statvfs says: an emergency (host-facts.md
        2.3). The look that it needs is at once."""
        self._refused = True
        self.loop.nudge()

    async def tell_exactly(self) -> None:
        """From now on `reports` are the numbers of this moment. Asked for when a job began or ended: what was promised
        to it is free for others from then on, and only what it wrote says how much that is (R51)."""
        await self.look()
        now = self._clock.monotonic()
        for state in self._states.values():
            state.told, state.told_at = state.last, now

    async def look(self) -> float:
        """One look at all of them; returns how soon the next one is due."""
        looked = await self._filesystems.look()
        untold = frozenset(use.path for use in looked.untold)
        self._say_untold(untold)
        here = {one.device for one in looked.found}
        self._states = {
            device: state for device, state in self._states.items() if device in here or state.paths & untold
        }
        refused, self._refused = self._refused, False
        news = False
        for one in looked.found:
            news = await self._see(one, refused=refused and self._home in one.paths) or news
        closed = self._to_close(looked.found, frozenset(slot for use in looked.untold for slot in use.slots))
        if news or closed != self._closed:
            self._closed = closed
            self._changed()
        short = any(state.level is not DiskLevel.OK for state in self._states.values())
        return HURRY_S if short or self._busy() else LOOK_S

    async def _see(self, one: Filesystem, *, refused: bool) -> bool:
        """Follows one filesystem; whether there is something to tell."""
        state = self._states.setdefault(one.device, _State())
        state.paths = one.paths
        if refused:
            self._log.warning("disk.refused", mount=one.mount, free=size(one.room.free), inodes=one.room.inodes_free)
        level = level_of(one.room, self._marks, DiskLevel.EMERGENCY if refused else state.level)
        changed = level is not state.level
        if changed:
            tell = self._log.info if level is DiskLevel.OK else self._log.warning
            tell("disk.level", mount=one.mount, was=state.level.value, level=level.value, free=size(one.room.free))
            state.level = level
            state.why = why_closed(one.mount, one.room, self._marks) if level in CLOSED else None
        emergency = refused or level is DiskLevel.EMERGENCY
        if self._mode() == "act":
            if self._home in one.paths:
                await self._use_ballast(one, emergency=emergency)
            if emergency:
                self._acts.empty_trash()
            if emergency or (changed and level is not DiskLevel.OK):
                self._acts.make_room()
        look = Look(self._up_s(), one.room.free, one.room.inodes_free)
        state.looks = kept(state.looks, look)
        now, report = self._clock.monotonic(), self._report(one, state, look)
        state.last = report
        if (
            state.told is None
            or _differs(state.told, report)
            or (now - state.told_at >= TELL_S and report != state.told)
        ):
            state.told, state.told_at = report, now
            return True
        return False

    async def _use_ballast(self, one: Filesystem, *, emergency: bool) -> None:
        """Gives it up in an emergency of the agent's own filesystem, and takes it again when there is room."""
        mine, now, wanted = self._seat.taken(), self._up_s(), ballast_of(one.room.total, self._marks)
        try:
            if emergency or not mine:
                # One ballast for each host: an agent that is not its guard gives its own back.
                if await asyncio.to_thread(self._ballast.drop):
                    self._dropped_at = now
            elif one.room.total and (self._dropped_at is None or now - self._dropped_at >= BALLAST_AGAIN_S):
                missing = wanted - self._ballast.size()
                rest = msgspec.structs.replace(one.room, free=one.room.free - missing)
                if missing > 0 and level_of(rest, self._marks, DiskLevel.HARD) in _ROOMY:
                    await asyncio.to_thread(self._ballast.make, wanted)
            self._ballast_trouble = None
        except (OSError, RuntimeError) as error:
            # The latter: no thread can be started on this host.
            if str(error) != self._ballast_trouble:
                self._ballast_trouble = str(error)
                self._log.warning("ballast.failed", reason=str(error))

    def _report(self, one: Filesystem, state: _State, look: Look) -> DiskReport:
        room, ends, share = one.room, full_in_s(state.looks, look), self._share_of(one.device)
        return DiskReport(
            mount=one.mount,
            total=room.total,
            free=room.free,
            inodes=room.inodes,
            inodes_free=room.inodes_free,
            level=state.level,
            admits=state.level not in CLOSED or self._mode() != "act",
            floor=floor_of(room.total, self._marks),
            full_in_s=None if ends is None else round(ends),
            slots=tuple(sorted(one.slots)),
            classes=share.classes,
            pinned=share.pinned,
            passes=share.passes,
            caches=share.caches,
        )

    def _to_close(self, found: tuple[Filesystem, ...], untold: frozenset[int]) -> dict[int, str]:
        if self._mode() != "act":
            return {}
        # What cannot be told now is as it was.
        closed = {slot: why for slot, why in self._closed.items() if slot in untold}
        for one in found:
            why = self._states[one.device].why
            if why is not None:
                closed |= dict.fromkeys(one.slots, why)
        return closed

    def _say_untold(self, untold: frozenset[Path]) -> None:
        for path in sorted(untold - self._untold):
            self._log.warning("disk.untold", path=str(path), reason="its filesystem does not answer")
        for path in sorted(self._untold - untold):
            self._log.info("disk.told", path=str(path))
        self._untold = untold

    def close(self) -> None:
        """What hangs is left to itself; the seat is free for another agent of this host."""
        self._filesystems.close()
        self._seat.close()


def _differs(told: DiskReport, now: DiskReport) -> bool:
    """Whether it is worth telling at once."""
    if _standing(told) != _standing(now):
        return True
    moved = abs(now.free - told.free) >= _MUCH * max(1, now.total)
    return moved or abs(now.inodes_free - told.inodes_free) >= _MUCH * max(1, now.inodes)


def _standing(report: DiskReport) -> tuple[object, ...]:
    shares = (
        tuple(one.at for one in report.passes),
        [one.count for one in report.classes if one.path_class is PathClass.UNKNOWN],
    )
    return report.level, report.admits, report.slots, report.mount, report.total, report.floor, shares
