"""Watches the filesystems of this host, and does what their levels ask for (R52, R53, R54).

It takes nothing away itself: it says that space is needed to those who do, by their own rules and leases. A look
that fails, or a filesystem that does not answer, changes nothing (law 4).
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from andon.agent.disk.ballast import Ballast
from andon.agent.disk.filesystems import Filesystem, Filesystems
from andon.model.config import Disk
from andon.model.disk import DiskLevel, DiskReport
from andon.model.rails import RailMode
from andon.rules.disk_forecast import Look, full_in_s, kept
from andon.rules.disk_marks import Room, ballast_of, floor_of, level_of
from andon.rules.sizes import shown_size
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop, Nudge

LOOK_S = 5.0
HURRY_S = 1.0
"""Between two looks while a filesystem is short of room: a build writes a GiB in a few seconds."""
TELL_S = 60.0
"""How old a number may be that the control plane has, when it changed a little."""
_MUCH = 0.01
"""The part of a filesystem that is told at once when it comes or goes."""
_CLOSED = frozenset({DiskLevel.HARD, DiskLevel.EMERGENCY})


class Acts(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard can ask for."""

    make_room: Callable[[], None]
    """What need not be kept may go now."""
    empty_trash: Callable[[], None]
    """What was put aside may go now, without its minute."""


class _State:
    def __init__(self) -> None:
        self.level = DiskLevel.OK
        self.looks: tuple[Look, ...] = ()
        self.told: DiskReport | None = None
        self.told_at = 0.0


class Guard:
    """One for each host. `changed` is nudged when the control plane should hear of something."""

    def __init__(
        self,
        filesystems: Filesystems,
        ballast: Ballast,
        home: Path,
        marks: Disk,
        acts: Acts,
        *,
        mode: Callable[[], RailMode],
        up_s: Callable[[], float],
        changed: Nudge,
        clock: Clock,
        log: Logger,
    ) -> None:
        self._filesystems, self._ballast, self._home = filesystems, ballast, home
        self._marks, self._acts, self._mode, self._up_s = marks, acts, mode, up_s
        self._changed, self._clock, self._log = changed, clock, log
        self._states: dict[int, _State] = {}
        self._closed: dict[int, str] = {}
        self._untold: frozenset[Path] = frozenset()
        self.loop = Loop("disk", self.look, period=LOOK_S, clock=clock, log=log)

    def reports(self) -> tuple[DiskReport, ...]:
        """Every filesystem as the control plane is told of it: not each byte at once, but each level."""
        told = (state.told for state in self._states.values())
        return tuple(sorted((one for one in told if one is not None), key=lambda one: one.mount))

    def why_closed(self, slot: int) -> str | None:
        """Why no job may begin on this slot now; None: its filesystems have room, or cannot be told."""
        return self._closed.get(slot)

    async def look(self) -> float:
        """One look at all of them; returns how soon the next one is due."""
        looked = await self._filesystems.look()
        self._say_untold(frozenset(use.path for use in looked.untold))
        if not looked.untold:
            here = {one.device for one in looked.found}
            self._states = {device: state for device, state in self._states.items() if device in here}
        news = False
        for one in looked.found:
            news = await self._see(one) or news
        closed = self._to_close(looked.found, frozenset(slot for use in looked.untold for slot in use.slots))
        if news or closed != self._closed:
            self._closed = closed
            self._changed()
        short = any(state.level is not DiskLevel.OK for state in self._states.values())
        return HURRY_S if short else LOOK_S

    async def _see(self, one: Filesystem) -> bool:
        """Follows one filesystem; whether there is something to tell."""
        state = self._states.setdefault(one.device, _State())
        level = level_of(one.room, self._marks, state.level)
        if level is not state.level:
            tell = self._log.info if level is DiskLevel.OK else self._log.warning
            tell("disk.level", mount=one.mount, was=state.level.value, level=level.value, free=shown_size(one.room.free))
            state.level = level
            if level is not DiskLevel.OK:
                self._acts.make_room()
        await self._use_ballast(one, level)
        if level is DiskLevel.EMERGENCY and self._mode() == "act":
            self._acts.empty_trash()
        state.looks = kept(state.looks, Look(self._up_s(), one.room.free, one.room.inodes_free))
        now, report = self._clock.monotonic(), self._report(one, state)
        if state.told is None or _differs(state.told, report) or (now - state.told_at >= TELL_S and report != state.told):
            state.told, state.told_at = report, now
            return True
        return False

    async def _use_ballast(self, one: Filesystem, level: DiskLevel) -> None:
        """Gives it up in an emergency of the agent's own filesystem, and takes it again when there is room."""
        try:
            if self._home.stat().st_dev != one.device:
                return
            if level is DiskLevel.EMERGENCY:
                await asyncio.to_thread(self._ballast.drop)
            elif level is DiskLevel.OK:
                size = ballast_of(one.room.total)
                rest = msgspec.structs.replace(one.room, free=one.room.free - size)
                if level_of(rest, self._marks, DiskLevel.SOFT) is DiskLevel.OK:
                    await asyncio.to_thread(self._ballast.make, size)
        except OSError as error:
            self._log.warning("ballast.failed", reason=str(error))

    def _report(self, one: Filesystem, state: _State) -> DiskReport:
        room: Room = one.room
        return DiskReport(
            mount=one.mount,
            total=room.total,
            free=room.free,
            inodes=room.inodes,
            inodes_free=room.inodes_free,
            level=state.level,
            admits=state.level not in _CLOSED,
            floor=floor_of(room.total, self._marks),
            full_in_s=full_in_s(state.looks),
            slots=tuple(sorted(one.slots)),
        )

    def _to_close(self, found: tuple[Filesystem, ...], untold: frozenset[int]) -> dict[int, str]:
        if self._mode() != "act":
            return {}
        # What cannot be told now is as it was.
        closed = {slot: why for slot, why in self._closed.items() if slot in untold}
        for one in found:
            if self._states[one.device].level in _CLOSED:
                left = f"{shown_size(one.room.free)} of {shown_size(one.room.total)}"
                if one.room.inodes and one.room.inodes_free * 100 < one.room.inodes * self._marks.hard_percent:
                    left += f" and {one.room.inodes_free} of {one.room.inodes} inodes"
                why = f"{one.mount} has {left} left: no job begins here until there is more."
                closed |= dict.fromkeys(one.slots, why)
        return closed

    def _say_untold(self, untold: frozenset[Path]) -> None:
        for path in sorted(untold - self._untold):
            self._log.warning("disk.untold", path=str(path), reason="its filesystem does not answer")
        for path in sorted(self._untold - untold):
            self._log.info("disk.told", path=str(path))
        self._untold = untold

    def close(self) -> None:
        """What hangs is left to itself."""
        self._filesystems.close()


def _differs(told: DiskReport, now: DiskReport) -> bool:
    """Whether it is worth telling at once."""
    if (told.level, told.slots, told.mount, told.total) != (now.level, now.slots, now.mount, now.total):
        return True
    moved = abs(now.free - told.free) >= _MUCH * max(1, now.total)
    return moved or abs(now.inodes_free - told.inodes_free) >= _MUCH * max(1, now.inodes)
