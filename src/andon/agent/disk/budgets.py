"""Ends the job that takes the room which was promised to its neighbours (`rules.disk_budget`).

Between two looks only free space is asked; what jobs wrote is measured when room is near its end, and always just
before one of them is ended. A job whose directory cannot be measured in time, or whose kind is not known, goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from andon.agent.disk.filesystems import room_at
from andon.agent.disk.quotas import Quotas
from andon.agent.disk.which_filesystem import WhichFilesystem
from andon.agent.trees.size import Broken, tree_size
from andon.model.config import Disk
from andon.model.rails import RailMode
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import JobProcess, LeaseRecord
from andon.rules.disk_budget import LiveJob, Overrun, bounds, is_near, overrun
from andon.rules.disk_marks import Room
from andon.rules.size_words import size
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop

LOOK_S = 1.0
"""While jobs run: a build writes a GiB in a few seconds."""
IDLE_S = 15.0
MEASURE_S = 5.0
"""For all directories of one filesystem: a walk over 200,000 files takes one or two."""
AHEAD_S = 10.0
"""Until a job that is ended writes no more, and what it wrote is free again."""
AGAIN_S = 30.0
"""Before the same job is ended once more: a step that cleans up has its time."""


class Budgets:
    """`leases` are the workspaces; `expected` says what the kind of the job in one writes; `quotas`
    holds one to its room where the kernel can; elsewhere `end` ends its steps."""

    def __init__(
        self,
        leases: Callable[[], Iterable[LeaseRecord]],
        expected: Callable[[str], int | None],
        size_of: Callable[[LeaseRecord], int | None],
        quotas: Quotas,
        end: Callable[[JobProcess], Awaitable[int]],
        marks: Disk,
        *,
        mode: Callable[[], RailMode],
        changed: Callable[[], None],
        clock: Clock,
        log: Logger,
    ) -> None:
        self._leases, self._expected, self._size_of, self._quotas, self._end = leases, expected, size_of, quotas, end
        self._marks, self._mode, self._changed, self._clock, self._log = marks, mode, changed, clock, log
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="budgets")
        self._ended: dict[str, float] = {}
        self._free: dict[str, tuple[int, float]] = {}
        self._said: dict[str, str] = {}
        self._bound: dict[str, str] = {}
        """Path by id of those that the kernel holds now, or may: what an ended agent bound is bound still."""
        self._unbound: set[str] = set()
        self.loop = Loop("budgets", self.look, period=IDLE_S, clock=clock, log=log)

    def said(self, id: str) -> tuple[str, ...]:
        """What people should know of this workspace; mostly nothing."""
        return (self._said[id],) if id in self._said else ()

    async def look(self) -> float:
        """One look at every filesystem that running jobs write to; returns how soon the next one is due."""
        at_work, now = self._at_work(), self._clock.monotonic()
        self._ended = {id: at for id, at in self._ended.items() if now - at < AGAIN_S}
        self._free = {each: seen for each, seen in self._free.items() if each in at_work}
        for records in at_work.values():
            self._bound |= {record.id: record.path for record in records if record.id not in self._unbound}
        bound: set[str] = set()
        for filesystem, records in at_work.items():
            # With nobody beside it a job harms nobody but itself.
            if len(records) > 1:
                bound |= await self._see(filesystem, records)
        await self._let_go(bound)
        there = {record.id for record in self._leases()}
        self._said = {id: words for id, words in self._said.items() if id in there}
        self._unbound &= there
        return LOOK_S if at_work else IDLE_S

    def _at_work(self) -> dict[str, list[LeaseRecord]]:
        found: dict[str, list[LeaseRecord]] = {}
        which = WhichFilesystem()
        for record in self._leases():
            if record.state is WorkspaceState.LEASED:
                found.setdefault(which.of(Path(record.path), record.device), []).append(record)
        return found

    async def _let_go(self, bound: set[str]) -> None:
        """Those that need not be held any more may write as before."""
        for id, path in list(self._bound.items()):
            if id not in bound:
                await asyncio.to_thread(self._quotas.hold, Path(path), None)
                del self._bound[id]
                self._unbound.add(id)

    async def _see(self, filesystem: str, records: list[LeaseRecord]) -> set[str]:
        """The ids of those that the kernel holds from now on."""
        last = [self._job(record, self._size_of(record) or 0) for record in records]
        try:
            room = await asyncio.to_thread(room_at, records[0].path)
            soon = self._soon(filesystem, room)
            if not is_near(room, last, soon, self._marks):
                return set()
            measured = await asyncio.get_running_loop().run_in_executor(self._thread, self._measure, records)
            room = await asyncio.to_thread(room_at, records[0].path)
        except (OSError, Broken):
            # It ended meanwhile, or is too large to be measured now: nothing is concluded (law 4).
            return set(self._bound) & {record.id for record in records}
        jobs = [self._job(record, written) for record, written in zip(records, measured, strict=True)]
        paths = {record.id: record.path for record in records}
        held = await self._hold(room, paths, jobs) if self._mode() == "act" else set[str]()
        found = overrun(room, jobs, soon, self._marks)
        if found is not None and found.id not in self._ended and found.id not in held:
            await self._act(next(record for record in records if record.id == found.id), found)
        return held

    async def _hold(self, room: Room, paths: dict[str, str], jobs: list[LiveJob]) -> set[str]:
        """Where the kernel can: it refuses the one that takes too much, and nobody has to be ended."""
        held: set[str] = set()
        by_id = {job.id: job for job in jobs}
        for id, most in bounds(room, jobs, self._marks).items():
            if not await asyncio.to_thread(self._quotas.hold, Path(paths[id]), most):
                continue
            held.add(id)
            self._bound[id] = paths[id]
            self._unbound.discard(id)
            if by_id[id].is_over(room.total) and id not in self._said:
                written, budget = size(by_id[id].written), size(by_id[id].budget(room.total) or 0)
                self._log.warning(
                    "job.over_disk_budget", workspace=id, written=written, budget=budget, held_to=size(most)
                )
                why = f"it had written {written}, more than the {budget} that its kind may"
                self._said[id] = f"it may write no more than {size(most)}: {why}, and others need what is left"
                self._changed()
        return held

    def _soon(self, filesystem: str, room: Room) -> int:
        """What is written there before something can be done about it, at the rate since the last look."""
        now = self._clock.monotonic()
        before, then = self._free.get(filesystem, (room.free, now))
        self._free[filesystem] = room.free, now
        return int(max(0, before - room.free) / max(now - then, LOOK_S) * AHEAD_S)

    def _job(self, record: LeaseRecord, written: int) -> LiveJob:
        return LiveJob(id=record.id, written=written, expected=self._expected(record.id))

    def _measure(self, records: list[LeaseRecord]) -> list[int]:
        until = self._clock.monotonic() + MEASURE_S
        return [self._size(Path(record.path), until) for record in records]

    def _size(self, path: Path, until: float) -> int:
        charged = self._quotas.written(path)
        return tree_size(path, go_on=lambda: self._clock.monotonic() < until) if charged is None else charged

    async def _act(self, record: LeaseRecord, found: Overrun) -> None:
        self._ended[record.id] = self._clock.monotonic()
        process, acts = record.process, self._mode() == "act"
        ended = await self._end(process) if acts and process is not None else 0
        self._log.warning(
            "job.over_disk_budget",
            workspace=record.id,
            written=size(found.written),
            budget=size(found.budget),
            promised_to_others=size(found.promised),
            free=size(found.free),
            processes_ended=ended,
        )
        others = f"others on its disk were promised {size(found.promised)}, and {size(found.free)} were free"
        what = f"it had written {size(found.written)}, more than the {size(found.budget)} that its kind may; {others}"
        self._said[record.id] = f"its steps were ended: {what}" if ended else f"its steps would have been ended: {what}"
        self._changed()

    async def close(self) -> None:
        """Waits for a measurement under way; none takes longer than a few seconds."""
        await asyncio.to_thread(self._thread.shutdown)
