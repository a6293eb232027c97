"""What `andon disk plan|sweep|who` ask the agent of this machine, over its socket."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from andon.agent.disk.account import Account, Share
from andon.agent.disk.evictions import Evictions
from andon.agent.disk.filesystems import room_at
from andon.agent.disk.history import History
from andon.agent.disk.journal import DeletionJournal, Stage
from andon.agent.leases.mounts import mount_of
from andon.model.config import Disk
from andon.model.disk import ClassTotal, Deletion, DiskLevel, Going, GuardPass, Pinned
from andon.model.rails import RailMode
from andon.rules.disk_marks import level_of
from andon.rules.disk_plan import bytes_wanted

_MOST_ANSWERS = 50


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """One deletion, as `andon disk who` shows it."""

    deletion: Deletion
    stage: str


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One filesystem: how much room it has, what would go, and what would not."""

    mount: str
    total: int
    free: int
    inodes: int
    inodes_free: int
    level: DiskLevel
    wanted: int
    """Bytes that must become free before it is well again."""
    classes: tuple[ClassTotal, ...]
    going: tuple[Going, ...]
    pinned: tuple[Pinned, ...]
    unknown: tuple[str, ...]
    passes: tuple[GuardPass, ...]


class DiskPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard of this host would do."""

    guard: RailMode
    filesystems: tuple[Planned, ...]
    in_trash: int
    """Names that go within the minute that a mistake has for being taken back."""


class DiskQuestions:
    """`look_again` makes those look who take things away, `hurry` empties the trash without its minute."""

    def __init__(
        self,
        account: Account,
        journal: DeletionJournal,
        history: History,
        evictions: Evictions,
        marks: Disk,
        *,
        mode: Callable[[], RailMode],
        look_again: Callable[[], None],
        hurry: Callable[[], None],
        waiting: Callable[[], tuple[Path, ...]],
    ) -> None:
        self._account, self._journal, self._history, self._evictions = account, journal, history, evictions
        self._marks = marks
        self._mode, self._look_again, self._hurry, self._waiting = mode, look_again, hurry, waiting

    async def answer(self, question: dict[str, Any], uid: int) -> dict[str, Any]:
        """One answer. `uid` is who asks: only root and the agent's own user may have anything done."""
        match question.get("disk"):
            case "plan":
                return {"v": 1, "disk": await self._plan()}
            case "who":
                return {"v": 1, "touched": msgspec.to_builtins(self._who(str(question.get("path", ""))))}
            case "sweep":
                return self._sweep(uid)
            case _:
                return {"v": 1, "ok": False, "error": 'Unknown question about the disk. Known: "plan", "sweep", "who".'}

    async def _plan(self) -> dict[str, Any]:
        await self._account.look()
        found = [await asyncio.to_thread(self._planned, share) for share in self._account.shares().values()]
        plan = DiskPlan(
            guard=self._mode(),
            filesystems=tuple(one for one in found if one is not None),
            in_trash=len(self._waiting()),
        )
        return msgspec.to_builtins(plan)

    def _planned(self, share: Share) -> Planned | None:
        try:
            room, mount = room_at(share.path), mount_of(Path(share.path))
        except OSError:
            return None
        level = level_of(room, self._marks)
        return Planned(
            mount=mount.point if mount is not None else share.path,
            total=room.total,
            free=room.free,
            inodes=room.inodes,
            inodes_free=room.inodes_free,
            level=level,
            wanted=bytes_wanted(room, level, self._marks, 0),
            classes=share.classes,
            going=share.going,
            pinned=share.pinned,
            unknown=share.unknown,
            passes=share.passes,
        )

    def _sweep(self, uid: int) -> dict[str, Any]:
        if uid not in (0, os.geteuid()):
            return {"v": 1, "ok": False, "error": "Only root and the agent's own user may sweep. Ask with sudo."}
        if self._mode() != "act":
            error = f'The guard is switched to "{self._mode()}". Switch it to "act" first, on the board or over HTTP.'
            return {"v": 1, "ok": False, "error": error}
        self._evictions.sweep()
        self._look_again()
        self._hurry()
        return {"v": 1, "ok": True}

    def _who(self, path: str) -> list[Touched]:
        """What went at, above or below this path, newest first; from the history what the journal forgot."""
        found: dict[str, Touched] = {}
        for line in self._history.lines():
            if _is_about(path, line.deletion.path):
                found[line.deletion.id] = Touched(deletion=line.deletion, stage=line.stage)
        for entry in self._journal.entries():
            if _is_about(path, entry.deletion.path):
                found[entry.deletion.id] = Touched(deletion=entry.deletion, stage=entry.stage.value)
        gone = [one for one in found.values() if one.stage != Stage.TAKEN_BACK]
        return sorted(gone, key=lambda one: one.deletion.at, reverse=True)[:_MOST_ANSWERS]


def _is_about(asked: str, deleted: str) -> bool:
    asked, deleted = asked.rstrip("/"), deleted.rstrip("/")
    if not asked or not deleted:
        return False
    return asked == deleted or asked.startswith(f"{deleted}/") or deleted.startswith(f"{asked}/")
