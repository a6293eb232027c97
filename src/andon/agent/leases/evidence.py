"""Everything that still uses a workspace, for all leases in one look: the kernel's word, no guess.

What cannot be told counts as use (law 4). The look runs in a thread and is bounded in time; who asks
gets an answer even while a thread of an earlier look still waits for a filesystem that hangs.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from andon.agent.layout import IN_WORK
from andon.agent.leases.lock_holders import FileId, lock_holders
from andon.agent.leases.process_use import Folder, Uses, find_uses
from andon.agent.leases.unreadable import Stranger, look_at, matters
from andon.agent.process_identity import lives
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import Hold, Holder, LeaseRecord
from andon.runtime.clock import Clock

LIMIT_S = 5.0
Found = dict[str, tuple[Hold, ...]]


class Evidence:
    """Looks for what holds workspaces; one look at a time."""

    def __init__(self, clock: Clock, boot_id: str, *, limit_s: float = LIMIT_S) -> None:
        self._clock, self._boot, self._limit_s = clock, boot_id, limit_s
        self._running: asyncio.Future[Found] | None = None

    async def holds(
        self, records: Iterable[LeaseRecord], lock_files: Mapping[str, FileId] | None = None
    ) -> dict[str, tuple[Hold, ...]]:
        """Why each workspace cannot go yet, by id; empty where nothing was found.

        `lock_files` are the leases' files (`LeaseTable.lock_files`), for locks of other programs.
        Runs are not looked at: `Holder.RUN` is the caller's to add.
        """
        wanted = tuple(records)
        files = dict(lock_files or {})
        if self._running is not None and not self._running.done():
            # A look that hangs must not take every thread there is.
            await asyncio.wait({self._running}, timeout=self._limit_s)
            if not self._running.done():
                return _untold(wanted, "an earlier look at the processes of this machine has not come back")
        until = self._clock.monotonic() + self._limit_s
        self._running = asyncio.ensure_future(asyncio.to_thread(self._look, wanted, files, until))
        await asyncio.wait({self._running}, timeout=2 * self._limit_s)
        if not self._running.done():
            return _untold(wanted, "the look at the processes of this machine takes too long")
        try:
            return self._running.result()
        except OSError as error:
            return _untold(wanted, f"the processes of this machine cannot be looked at ({error})")

    def _look(self, records: tuple[LeaseRecord, ...], files: Mapping[str, FileId], until: float) -> Found:
        out: dict[str, list[Hold]] = {record.id: [] for record in records}
        for record in records:
            out[record.id].extend(_by_process(record, self._boot))
        folders: list[Folder] = []
        for record in records:
            folder, doubt = _folder(record)
            if folder is not None:
                folders.append(folder)
            if doubt is not None:
                out[record.id].append(doubt)
        uses = find_uses(folders, go_on=lambda: self._clock.monotonic() < until)
        for id, found in uses.holds.items():
            out[id].extend(found)
        strangers = look_at(uses.unreadable)
        for record in records:
            out[record.id].extend(_by_unknown(record, uses, strangers))
        _by_lock(out, files)
        return {id: tuple(found) for id, found in out.items()}


def _untold(records: Iterable[LeaseRecord], why: str) -> Found:
    hold = Hold(by=Holder.UNKNOWN, text=f"It cannot be told whether something uses it: {why}.")
    return {record.id: (hold,) for record in records}


def _by_process(record: LeaseRecord, boot_id: str) -> Iterable[Hold]:
    process = record.process
    if process is None or record.boot_id != boot_id:
        return
    if lives(process.pid, process.start):
        yield Hold(by=Holder.PROCESS, text=f"Its job's process (pid {process.pid}) lives.", pid=process.pid)
    if process.cgroup is not None:
        try:
            events = Path(process.cgroup, "cgroup.events").read_text(encoding="ascii").split("\n")
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            yield Hold(by=Holder.UNKNOWN, text=f"Its job's cgroup cannot be read ({error.strerror}).")
            return
        if "populated 0" not in events:
            yield Hold(by=Holder.CGROUP, text="A process is left in its job's cgroup.")


def _folder(record: LeaseRecord) -> tuple[Folder | None, Hold | None]:
    """What to look for. A workspace that is gone from its place is looked for by its job alone."""
    real = os.path.realpath(record.path)
    inode: tuple[int, int] | None = (record.device, record.inode)
    doubt: Hold | None = None
    try:
        found = os.stat(real)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        text = f"It cannot be told whether something uses it: it cannot be looked at ({error.strerror})."
        doubt = Hold(by=Holder.UNKNOWN, text=text)
    else:
        if (found.st_dev, found.st_ino) != inode:
            text = "Another directory stands under its name, so what uses it cannot be told."
            doubt = Hold(by=Holder.UNKNOWN, text=text)
    around = _work_folder(real) if record.state is not WorkspaceState.DEAD else None
    return Folder(id=record.id, path=real, around=around, inode=inode, tracking=record.job.tracking), doubt


def _work_folder(path: str) -> str | None:
    """The runner's work folder, where the workspace lies in it: a job container mounts all of it (R92).

    Until it was seen unused once: an adopted runner's next job mounts the same folder, and is no user of this one.
    """
    above = Path(path).parent
    return str(above.parent) if above.name == IN_WORK.name else None


def _by_unknown(record: LeaseRecord, uses: Uses, strangers: Iterable[Stranger]) -> Iterable[Hold]:
    if not uses.whole:
        text = "It cannot be told whether something uses it: there was no time to look at every process."
        yield Hold(by=Holder.UNKNOWN, text=text)
    for each in strangers:
        if matters(each, record):
            text = f"It cannot be told whether the process {each.pid} uses it: it may not be looked into."
            yield Hold(by=Holder.UNKNOWN, text=text, pid=each.pid)
            return


def _by_lock(out: Mapping[str, list[Hold]], files: Mapping[str, FileId]) -> None:
    wanted = {file: id for id, file in files.items() if id in out}
    if not wanted:
        return
    for file, pids in lock_holders().items():
        id = wanted.get(file)
        if id is not None:
            for pid in sorted(pids - {os.getpid()})[:1]:
                out[id].append(Hold(by=Holder.LOCK, text=f"The process {pid} holds its lease's lock.", pid=pid))
