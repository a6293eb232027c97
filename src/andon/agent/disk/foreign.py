"""Finds what somebody else deleted: a leased directory that vanishes without our journal (incidents.md P9, P2).

Two sources. The look compares each lease's directory with the one that stands there: it misses nothing that lasts.
The kernel's watch (`agent.trees.fanotify`) tells at once which process took a name out of a workspace, its slot's
folder or a directory that the job was given; it may be absent, and then nobody can be named.
"""

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from andon.agent.disk.culprits import Culprit, describe, is_jobs_own
from andon.agent.disk.journal import DeletionJournal
from andon.agent.trees.fanotify import Fanotify, Removed
from andon.model.disk import Deletion, PathClass
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import LeaseRecord
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop

LOOK_S = 15.0
FOREIGN = "foreign"
_MOST_SIGHTINGS = 1000
_MOST_MARKS = 1000
_NOT_WATCHED = frozenset({"tmp", "temp"})
"""Directories of a workspace whose names come and go all the time."""


class _Sighting(NamedTuple):
    removed: Removed
    at: datetime
    culprit: Culprit


class ForeignDeletions:
    """`planned` names what on this host deletes by plan; `size_of` what is known of a workspace's bytes.

    `changed` is nudged when there is something to tell.
    """

    def __init__(
        self,
        records: Callable[[], Iterable[LeaseRecord]],
        journal: DeletionJournal,
        *,
        planned: Callable[[], tuple[str, ...]],
        size_of: Callable[[LeaseRecord], int | None],
        own_pid: int,
        nonce: Callable[[], str],
        changed: Callable[[], None],
        clock: Clock,
        log: Logger,
    ) -> None:
        self._records, self._journal, self._planned, self._size_of = records, journal, planned, size_of
        self._own, self._nonce, self._changed, self._clock, self._log = own_pid, nonce, changed, clock, log
        self._sightings: deque[_Sighting] = deque(maxlen=_MOST_SIGHTINGS)
        self._told: set[tuple[str, int]] = set()
        self._refused: set[Path] = set()
        """Folders that the kernel does not watch: those of a subvolume, where workspaces have quotas."""
        self._telling: set[asyncio.Future[None]] = set()
        self._watch, self._blind = _watch()
        if self._watch is not None:
            asyncio.get_running_loop().add_reader(self._watch.file, self._read)
        else:
            log.info("deletions.unwatched", reason=self._blind)
        self.loop = Loop("foreign", self.look, period=LOOK_S, clock=clock, log=log)

    async def look(self) -> None:
        """One look at every lease's directory."""
        records = tuple(one for one in self._records() if one.state is not WorkspaceState.TRASHED)
        names = {one.id for one in records}
        self._told = {(id, pid) for id, pid in self._told if id in names}
        await asyncio.to_thread(self._mark, records)
        # What the kernel has told by now is evidence for what the look finds.
        self._read()
        for record in records:
            gone = await asyncio.to_thread(_is_gone, record)
            # Taken away by us meanwhile: the intent stood in the journal before the rename.
            if gone and (record.id, 0) not in self._told and not self._journal.took(record.id):
                self._told.add((record.id, 0))
                seen = [each for each in self._sightings if _is_about(each.removed, Path(record.path))]
                await self._tell(record, Path(record.path), seen)

    async def _tell(self, record: LeaseRecord, path: Path, seen: list[_Sighting]) -> None:
        planned = await asyncio.to_thread(self._planned)
        evidence = [_sentence(each) for each in seen[-3:]]
        if not evidence:
            evidence = [f"Who did it cannot be told: {self._blind or 'it happened while nobody watched'}."]
        live = record.state in (WorkspaceState.FRESH, WorkspaceState.LEASED, WorkspaceState.DRAINING)
        deletion = Deletion(
            id=f"del_{self._nonce()}",
            at=seen[-1].at if seen else self._clock.now(),
            path=str(path),
            path_class=(PathClass.LIVE if live else PathClass.DEAD).value,
            actor=FOREIGN,
            reason="It vanished, and no deletion of ours stands in the journal.",
            bytes=self._size_of(record) if path == Path(record.path) else None,
            lease=record.id,
            evidence=(*evidence, *planned),
        )
        self._journal.seen(deletion)
        self._log.warning("deletion.foreign", path=str(path), lease=record.id, evidence=deletion.evidence[0])
        self._changed()

    def _read(self) -> None:
        if self._watch is None:
            return
        records: tuple[LeaseRecord, ...] | None = None
        for removed in self._watch.read():
            if removed.pid == self._own:
                continue
            sighting = _Sighting(removed, self._clock.now(), self._who(removed.pid))
            self._sightings.append(sighting)
            records = tuple(self._records()) if records is None else records
            self._judge(sighting, records)

    def _who(self, pid: int) -> Culprit:
        """Who it is; as it was seen before where it ended in the middle of what it did."""
        found = describe(pid)
        if found.seen:
            return found
        return next((one.culprit for one in reversed(self._sightings) if one.culprit.pid == pid), found)

    def _judge(self, sighting: _Sighting, records: Iterable[LeaseRecord]) -> None:
        """Whether it is worth a word at once: something inside a live workspace, by a process that is not its job's."""
        removed, culprit = sighting.removed, sighting.culprit
        path = removed.folder / removed.name
        for record in records:
            workspace = Path(record.path)
            if workspace == path:
                self.loop.nudge()
            elif removed.folder.is_relative_to(workspace) and record.state is WorkspaceState.LEASED:
                known = culprit.seen and not culprit.inside
                if known and (record.id, removed.pid) not in self._told and not is_jobs_own(removed.pid, record):
                    self._told.add((record.id, removed.pid))
                    telling = asyncio.ensure_future(self._tell(record, path, [sighting]))
                    self._telling.add(telling)
                    telling.add_done_callback(self._telling.discard)

    def _mark(self, records: Iterable[LeaseRecord]) -> None:
        if self._watch is None:
            return
        wanted = {folder for record in records for folder in _worth_watching(Path(record.path))}
        for folder in self._watch.watched() - wanted:
            self._watch.drop(folder)
        self._refused &= wanted
        for folder in sorted(wanted - self._watch.watched() - self._refused)[:_MOST_MARKS]:
            try:
                self._watch.add(folder)
            except OSError as error:
                if error.errno == errno.EXDEV:
                    self._refused.add(folder)
                self._log.info("deletions.unwatched", path=str(folder), reason=str(error.strerror))

    def close(self) -> None:
        """Watches nothing any more."""
        if self._watch is not None:
            asyncio.get_running_loop().remove_reader(self._watch.file)
            self._watch.close()


def _watch() -> tuple[Fanotify | None, str]:
    try:
        return Fanotify(), ""
    except OSError as error:
        return None, f"the kernel does not tell this agent who deletes ({error.strerror})"


def _worth_watching(workspace: Path) -> Iterable[Path]:
    yield workspace.parent
    try:
        below = [each for each in workspace.iterdir() if each.name not in _NOT_WATCHED]
        yield workspace
        yield from (each for each in below[:20] if each.is_dir() and not each.is_symlink())
    except OSError:
        return


def _is_gone(record: LeaseRecord) -> bool:
    """Whether the directory of the lease stands under its name no more. What cannot be told is no (law 4)."""
    try:
        found = Path(record.path).lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return (found.st_dev, found.st_ino) != (record.device, record.inode)


def _is_about(removed: Removed, path: Path) -> bool:
    taken = removed.folder / removed.name
    return taken == path or removed.folder == path or path.is_relative_to(taken)


def _sentence(sighting: _Sighting) -> str:
    removed, at = sighting.removed, sighting.at.astimezone(UTC)
    did = "moved away" if removed.moved else "deleted"
    return f"{sighting.culprit.text} {did} {removed.folder / removed.name} at {at:%Y-%m-%d %H:%M:%S} UTC."
