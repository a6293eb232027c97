"""Keeps the workspaces of one host: gives one to each job, and takes it away when nothing can use it.

The state of each stands in its lease's record, not here (R87); a look compares it with what the kernel
shows and with what the control plane said, and moves it on by the pure rule. Nothing is taken away on a
look that failed or on the word of an age alone (law 4, R86).
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from andon.agent.disk.removals import BY_GUARD, BY_KEEPER
from andon.agent.workspaces.identity import parse, workspace_id
from andon.agent.workspaces.parts import CannotBegin, Found, Kernel, Places, Records, Remover, Space, ToGo
from andon.model.machine import Rejected
from andon.model.rails import RailMode
from andon.model.wire import JobWord, LeaseReport, SyncAnswer
from andon.model.workspace_states import WORKSPACES, WorkspaceState
from andon.model.workspaces import Hold, Holder, JobIdentity, JobProcess, LeaseRecord
from andon.rules.workspace_life import Seen, Step, looks_needed, may_go_for_space, next_step
from andon.runtime.clock import Clock
from andon.runtime.errors import AndonError
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop

LOOK_S = 15.0
"""Between two looks when nothing nudges."""
MEASURED_WITHIN_S = 60.0
"""How long a workspace that may go waits for being measured (R51); one whose room is needed does not wait."""
REST = 2.0
"""So many times as long as it searched for what holds them it rests before it searches again."""
AT_MOST = 20
"""Workspaces that one look takes away: a wrong word about many runs at once costs few of them (R31), and so long are
their locks held, for one look at the kernel."""
_NO_EVIDENCE = frozenset({"success", "skipped", "neutral", "cancelled"})
"""Conclusions after which nobody looks into the directory."""
_WRITTEN_TO = frozenset({WorkspaceState.LEASED, WorkspaceState.DRAINING})
_UNTOLD = Hold(by=Holder.UNKNOWN, text="Nobody could look whether something uses it.")
_UNKNOWN_JOB = JobIdentity(repository="", run_id=0, attempt=0, job="", runner="")


class Keeper:
    """The workspaces of this host. `changed` is nudged when the control plane should hear of something."""

    def __init__(
        self,
        records: Records,
        places: Places,
        kernel: Kernel,
        remover: Remover,
        space: Space,
        *,
        boot_id: str,
        nonce: Callable[[], str],
        guard: Callable[[], RailMode],
        said: Callable[[str], tuple[str, ...]] = lambda id: (),
        changed: Callable[[], None],
        clock: Clock,
        log: Logger,
    ) -> None:
        self._guard, self._said = guard, said
        self._records, self._places, self._kernel, self._remover, self._space = records, places, kernel, remover, space
        self._boot_id, self._nonce = boot_id, nonce
        self._changed, self._clock, self._log = changed, clock, log
        self._one_at_a_time = asyncio.Lock()
        self._runs: dict[str, str] = {}
        self._expected: dict[str, int] = {}
        self._reasons: dict[str, tuple[str, ...]] = {}
        self._wanted: frozenset[str] = frozenset()
        self._rest_until = 0.0
        self.loop = Loop("workspaces", self.look, period=LOOK_S, clock=clock, log=log)

    async def begin(self, job: JobIdentity, process: JobProcess, slot: int, claim: str | None) -> LeaseRecord:
        """A workspace of this job's own, leased to its process; the same again when it is asked for again.

        Raises CannotBegin.
        """
        async with self._one_at_a_time:
            for record in self._records.records():
                if record.process == process and record.boot_id == self._boot_id:
                    goes_on = record.state is WorkspaceState.LEASED and record.ended_up_s is None
                    if record.job == job and goes_on:
                        return record
                    raise CannotBegin("This process has had its workspace already; a job is given one.")
            name = workspace_id(job, self._nonce())
            try:
                made = await asyncio.to_thread(self._places.make, slot, claim, name, process)
                now, up_s = self._clock.now(), self._kernel.up_s()
                record = LeaseRecord(
                    id=name,
                    state=WorkspaceState.LEASED,
                    path=str(made.path),
                    device=made.device,
                    inode=made.inode,
                    slot=slot,
                    claim=claim,
                    job=job,
                    boot_id=self._boot_id,
                    process=process,
                    made_at=now,
                    taken_at=now,
                    made_up_s=up_s,
                )
                self._records.take(record)
            except (OSError, AndonError) as error:
                if isinstance(error, CannotBegin):
                    raise
                why = (error.strerror if isinstance(error, OSError) else None) or str(error)
                raise CannotBegin(f"No workspace could be made on this host ({why}).") from error
        # Not with the next look only: a job may be over before that. Where it fails, that look does it.
        with contextlib.suppress(OSError):
            self._kernel.watch()
        self._log.info("workspace.leased", workspace=name, slot=slot, run=job.run_id, attempt=job.attempt)
        self._changed()
        return record

    def knows(self, process: JobProcess) -> bool:
        """Whether this process was given a workspace that is not in the trash."""
        return any(one.process == process and one.boot_id == self._boot_id for one in self._records.records())

    def end(self, process: JobProcess) -> LeaseRecord | None:
        """The completed hook of the job that this process is was called. Raises OSError and AndonError."""
        for record in self._records.records():
            if record.process == process and record.boot_id == self._boot_id and record.ended_up_s is None:
                ended = msgspec.structs.replace(record, ended_at=self._clock.now(), ended_up_s=self._kernel.up_s())
                self._records.update(ended)
                self.loop.nudge()
                return ended
        return None

    def hear(self, answer: SyncAnswer) -> None:
        """What the control plane knows of runs and jobs; nothing that it leaves out is forgotten."""
        self._runs |= answer.runs
        records = self._by_id()
        self._expected = {id: bytes for id, bytes in self._expected.items() if id in records}
        self._expected |= {id: word.expected for id, word in answer.jobs.items() if word.expected is not None}
        for name, word in answer.jobs.items():
            record = records.get(name)
            failed = _failed(word)
            if record is not None and failed is not None and record.failed is not failed:
                self._write(msgspec.structs.replace(record, failed=failed))
        if answer.runs or answer.jobs:
            self.loop.nudge()

    def reports(self) -> tuple[LeaseReport, ...]:
        """Every workspace that is not in the trash, as the control plane is told of it."""
        return tuple(
            LeaseReport(
                id=record.id,
                run_id=record.job.run_id,
                attempt=record.job.attempt,
                state=record.state.value,
                slot=record.slot,
                repository=record.job.repository or None,
                job=record.job.job,
                runner=record.job.runner or None,
                path=record.path,
                since=_since(record),
                held_by=(*self._said(record.id), *self._reasons.get(record.id, ())),
                bytes=self._space.size_of(record),
            )
            for record in sorted(self._records.records(), key=lambda record: record.id)
            if record.state is not WorkspaceState.TRASHED
        )

    def expected(self, id: str) -> int | None:
        """Bytes that jobs of the kind write whose workspace this is, as the control plane said last."""
        return self._expected.get(id)

    @property
    def written_to(self) -> bool:
        """Whether a job, or what it left running, may write into a workspace now."""
        return any(record.state in _WRITTEN_TO for record in self._records.records())

    def over(self) -> tuple[LeaseRecord, ...]:
        """The dead ones whose runs are over: they may go before their time when their room is needed."""
        return self._over(self._records.records())

    def _over(self, records: Iterable[LeaseRecord]) -> tuple[LeaseRecord, ...]:
        return tuple(one for one in records if may_go_for_space(one, self._runs.get(str(one.job.run_id), "")))

    def is_below(self, folder: Path) -> bool:
        """Whether a workspace that is not in the trash lies below `folder`."""
        return any(Path(record.path).is_relative_to(folder) for record in self._records.records())

    async def look(self) -> None:
        """One look at all of them: each moves on as far as it may."""
        told = self.reports()
        await self._take_up_found()
        records = self._by_id()
        searched = looks_needed(records, self._kernel.gone())
        holds: Mapping[str, tuple[Hold, ...]] = await self._search(searched) if searched else {}
        self._wanted = await asyncio.to_thread(self._space.wanted, self._over(searched))
        going: list[ToGo] = []
        for one in searched:
            # Read again: a hook or an answer may have come while we looked.
            record = self._by_id().get(one.id)
            while record is not None:
                record = self._moved_on(record, holds.get(one.id), going)
        await self._take_away(going)
        known = {str(record.job.run_id) for record in self._records.records()}
        self._runs = {run: state for run, state in self._runs.items() if run in known}
        if self.reports() != told:
            self._changed()

    async def _search(self, records: tuple[LeaseRecord, ...]) -> Mapping[str, tuple[Hold, ...]]:
        """What holds them. On a host with many processes it is long work, and each end of a job asks for it: hooks are
        answered in the pauses."""
        await self._rest()
        began = self._clock.monotonic()
        try:
            return await self._kernel.holds(records)
        finally:
            self._rest_after(began)

    async def _rest(self) -> None:
        await self._clock.sleep(self._rest_until - self._clock.monotonic())

    def _rest_after(self, began: float) -> None:
        ended = self._clock.monotonic()
        self._rest_until = ended + REST * (ended - began)

    async def _take_up_found(self) -> None:
        """Leases what nobody does: a reboot leaves directories without records, an agent's end may leave one."""
        async with self._one_at_a_time:
            try:
                for found in await asyncio.to_thread(self._places.found, frozenset(self._by_id())):
                    self._records.take(self._nobodys(found))
                    self._places.forget_note(found.name)
                    self._log.info("workspace.found", workspace=found.name, path=str(found.made.path))
            except (OSError, AndonError) as error:
                self._log.warning("workspace.unread", reason=str(error))

    def _nobodys(self, found: Found) -> LeaseRecord:
        of = parse(found.name)
        if of is None:
            raise AndonError(f"{found.name}: no name of ours")
        now, up_s, held = self._clock.now(), self._kernel.up_s(), found.process is not None
        return LeaseRecord(
            id=found.name,
            # Where nobody knows who began in it, only the kernel and its run can let it go.
            state=WorkspaceState.LEASED if held else WorkspaceState.DRAINING,
            path=str(found.made.path),
            device=found.made.device,
            inode=found.made.inode,
            slot=found.slot,
            claim=None,
            # Run and attempt by its name alone: the note was the job's to write.
            job=msgspec.structs.replace(found.job or _UNKNOWN_JOB, run_id=of.run_id, attempt=of.attempt),
            boot_id=self._boot_id,
            process=found.process,
            made_at=now,
            taken_at=now if held else None,
            ended_at=None if held else now,
            made_up_s=up_s,
            ended_up_s=None if held else up_s,
        )

    def _moved_on(self, record: LeaseRecord, holds: tuple[Hold, ...] | None, going: list[ToGo]) -> LeaseRecord | None:
        """The record after its next step; None when it stays, or is to go: then it is among the `going`, if it may."""
        step = next_step(
            Seen(
                record=record,
                holds=holds,
                run=self._runs.get(str(record.job.run_id), "unknown"),
                up_s=self._kernel.up_s(),
                space_needed=record.id in self._wanted,
            )
        )
        self._reasons[record.id] = step.reasons if step.event is None else ()
        if step.event is None:
            return None
        after = WORKSPACES.advance(record.state, step.event)
        if isinstance(after, Rejected):
            raise AndonError(f"workspace {record.id}: {after.reason} ({record.state} on {step.event})")
        if after is WorkspaceState.TRASHED:
            if self._may_go(record, step):
                actor = BY_GUARD if step.for_space else BY_KEEPER
                going.append(ToGo(record=record, actor=actor, reason=step.reasons[0]))
            return None
        now, up_s = self._clock.now(), self._kernel.up_s()
        moved = msgspec.structs.replace(record, state=after)
        if after is WorkspaceState.DRAINING and record.ended_up_s is None:
            moved = msgspec.structs.replace(moved, ended_at=now, ended_up_s=up_s)
        if after is WorkspaceState.DEAD:
            moved = msgspec.structs.replace(moved, dead_at=now, dead_up_s=up_s)
        if not self._write(moved):
            return None
        self._log.info("workspace.moved", workspace=record.id, state=after.value, reason=step.reasons[0])
        return moved

    def _may_go(self, record: LeaseRecord, step: Step) -> bool:
        """Whether it goes in this look; else it is said why it does not."""
        why = self._switched_off(step.reasons[0])
        if why is None and not step.for_space and self._is_to_be_measured(record):
            why = "it is measured first, so that what its kind of job writes is known"
            self._space.measure_soon()
        if why is not None:
            self._reasons[record.id] = (why,)
        return why is None

    def _switched_off(self, reason: str) -> str | None:
        mode = self._guard()
        would = "would go now, and" if mode == "observe" else "stays, for"
        return None if mode == "act" else f"{reason}; it {would} the guard is switched to {mode}"

    async def _take_away(self, going: list[ToGo]) -> None:
        """All of them by one look at the kernel; by one more where some stayed, so that others go in their place."""
        left, hurry = AT_MOST, any(one.actor == BY_GUARD for one in going)
        while going and left > 0:
            if not hurry:
                # It looks once more at every process; nobody waits for this room.
                await self._rest()
            here, now, going = self._by_id(), going[:left], going[left:]
            # While it rested somebody may have switched the guard off, or another program ended a lease.
            for one in now:
                if (why := self._switched_off(one.reason)) is not None:
                    self._reasons[one.record.id] = (why,)
            now = tuple(one for one in now if one.record.id in here and self._guard() == "act")
            began = self._clock.monotonic()
            stayed = await self._remover.take_away(now)
            self._rest_after(began)
            for one in now:
                left -= self._went(one, stayed.get(one.record.id, _UNTOLD))
        for one in going:
            self._reasons[one.record.id] = (f"{AT_MOST} others went in this look; it goes in the next",)
            self.loop.nudge()

    def _went(self, one: ToGo, stays: Hold | None) -> bool:
        record = one.record
        if stays is not None:
            self._reasons[record.id] = (stays.text,)
            return False
        self._reasons.pop(record.id, None)
        self._log.info("workspace.trashed", workspace=record.id, path=record.path, reason=one.reason)
        return True

    def _is_to_be_measured(self, record: LeaseRecord) -> bool:
        """Not for long: what cannot be measured goes unmeasured."""
        dead_for = self._kernel.up_s() - (record.dead_up_s or 0.0)
        return dead_for < MEASURED_WITHIN_S and self._space.is_unmeasured(record)

    def _by_id(self) -> dict[str, LeaseRecord]:
        return {record.id: record for record in self._records.records()}

    def _write(self, record: LeaseRecord) -> bool:
        try:
            self._records.update(record)
        except (OSError, AndonError) as error:
            self._log.warning("lease.unwritten", workspace=record.id, reason=str(error))
            return False
        return True


def _failed(word: JobWord) -> bool | None:
    """Whether the job's directory is evidence, as of a failure or a time-out; None: not known yet."""
    return None if word.conclusion is None else word.conclusion not in _NO_EVIDENCE


def _since(record: LeaseRecord) -> datetime:
    moments = (record.dead_at, record.ended_at, record.taken_at)
    return next((moment for moment in moments if moment is not None), record.made_at)
