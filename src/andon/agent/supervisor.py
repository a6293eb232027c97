"""Keeps the slots as they are wanted: looks at the folders, starts, ends, reports and tidies up.

State stands in the slot directories and in the kernel; what is kept in memory here may be lost at
any moment (R87). Everything happens on a look, which a shim's datagram, an ended process or the
timer brings about (law 2).
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from andon.agent.claim_record import Phase, write_claim
from andon.agent.disk.removals import Intend, unwritten
from andon.agent.ending import end_runner
from andon.agent.gate import Gate, OpenGate
from andon.agent.held import Held, Life, look
from andon.agent.hooks.caller import RunnerProcess, runners_of
from andon.agent.launch import Launcher
from andon.agent.lost_end import record_end, unseen_end
from andon.agent.past_claims import PastClaims
from andon.agent.plan import Known, end_reports, plan, slot_reports
from andon.agent.removal import leftovers, remove_folders
from andon.agent.runner_output import RunnerOutputs
from andon.agent.slot_table import Slot, fault_of
from andon.agent.starting import Starter
from andon.agent.timing import Timing
from andon.agent.watches import Named, Watches
from andon.model.wire import ClaimOrder, EndReport, SlotReport, SyncAnswer
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop, Nudge

_SAID_AT_MOST = 1000


class Supervisor:
    """One host's slots. `changed` is nudged whenever the control plane should hear of something."""

    def __init__(
        self, launcher: Launcher, slots: tuple[Slot, ...], *, clock: Clock, timing: Timing, log: Logger
    ) -> None:
        self.changed = Nudge()
        self.loop = Loop("slots", self._pass, period=timing.look, clock=clock, log=log)
        self._root, self._boot, self._slots, self._configured = launcher.root, launcher.boot_id, slots, slots
        self._clock, self._timing, self._log = clock, timing, log
        self._held: tuple[Held, ...] = ()
        self._unwritten: dict[str, Held] = {}
        """Ends that the disk did not take."""
        self._past = PastClaims(self._root.past_claims, log)
        self._faults: dict[int, str] = {}
        self._faults_due = clock.monotonic()
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._removing: asyncio.Task[None] | None = None
        self._remove_due = clock.monotonic()
        self._kept: Callable[[Path], bool] = lambda folder: False
        self._gate: Gate = OpenGate()
        self._intend: Intend = unwritten
        self._watches = Watches(self.loop.nudge)
        self._outputs = RunnerOutputs(self._reached)
        self._starter = Starter(
            launcher,
            self._outputs,
            gate=lambda: self._gate,
            failed=self._record,
            done=self.loop.nudge,
            clock=clock,
            log=log,
        )
        self._reported: tuple[tuple[SlotReport, ...], tuple[EndReport, ...]] | None = None
        self._said: dict[tuple[str, str], None] = {}

    def also_serve(self, slots: tuple[Slot, ...]) -> None:
        """From now on exactly these slots beside the configured ones. What runs in others goes on to its end."""
        wanted = (*self._configured, *slots)
        if wanted != self._slots:
            self._slots = wanted
            self._faults_due = self._clock.monotonic()
            self.changed()
            self.loop.nudge()

    def slots(self) -> tuple[SlotReport, ...]:
        """Every slot as the last look found it."""
        closed = {slot.number: why for slot in self._slots if (why := self._gate.why_closed(slot.number))}
        return slot_reports(self._known(), frozenset(self._ending), closed | self._faults)

    def ended(self) -> tuple[EndReport, ...]:
        """Every end that is not acknowledged yet."""
        here = {one.claim.claim for one in self._held}
        more = (one for claim, one in self._unwritten.items() if claim not in here)
        return end_reports((*self._held, *more), self._past.claims())

    def acknowledge(self, ends: tuple[EndReport, ...]) -> None:
        """The control plane has these ends for good: their folders may go."""
        if ends:
            self._past.add(frozenset(end.claim for end in ends))
            for end in ends:
                self._unwritten.pop(end.claim, None)
            self._remove_due = self._clock.monotonic()
            self.loop.nudge()

    def runners(self) -> tuple[RunnerProcess, ...]:
        """Every runner that lives, as its hooks are told apart by."""
        return runners_of(self._held)

    def write_down(self, intend: Intend) -> None:
        """From now on `intend` is told of every claim's folder before it goes."""
        self._intend = intend

    def keep_folders(self, kept: Callable[[Path], bool]) -> None:
        """From now on a folder that is `kept` is not removed, however long its claim is over."""
        self._kept = kept

    def start_through(self, gate: Gate) -> None:
        """From now on a slot takes no runner while the gate gives a reason, which is told with it."""
        self._gate = gate

    def served(self) -> tuple[Slot, ...]:
        """The slots that runners are started on."""
        return self._slots

    def live_claims(self) -> frozenset[str]:
        """The claims whose runner lives, or whose end is not acknowledged yet."""
        return frozenset(
            one.claim.claim for one in self._held if one.live or one.claim.claim not in self._past.claims()
        )

    @property
    def has_live_runner(self) -> bool:
        """Whether any runner of ours lives."""
        return any(one.live for one in self._held)

    def apply(self, answer: SyncAnswer) -> None:
        """Does what `answer` asks; safe to repeat. Raises OSError when the folders cannot be read."""
        self.look()
        wanted = plan(self._known(), answer, self._clock.now())
        for claim, reason in wanted.ignored:
            self._say_once(claim, reason)
        for order in wanted.renew:
            self._renew(order)
        for order in wanted.start:
            self._starter.begin(order, next(slot for slot in self._slots if slot.number == order.slot))
        for claim in wanted.stop:
            if claim not in self._ending:
                self._log.info("runner.stopping", claim=claim, reason="the control plane gave it up")
                self._ending[claim] = asyncio.get_running_loop().create_task(self._end(claim))
        if wanted.start or wanted.renew or wanted.stop:
            self.look()

    def _say_once(self, claim: str, reason: str) -> None:
        if (claim, reason) not in self._said:
            self._said[claim, reason] = None
            while len(self._said) > _SAID_AT_MOST:
                del self._said[next(iter(self._said))]
            self._log.info("order.ignored", claim=claim, reason=reason)

    def _renew(self, order: ClaimOrder) -> None:
        one = self._find(order.id)
        if one is not None:
            write_claim(one.folder, msgspec.structs.replace(one.claim, generation=order.generation))

    async def _end(self, claim: str) -> None:
        try:
            await self._starter.break_off(claim)
            self.look()
            await end_runner(
                claim,
                lambda: self._find(claim),
                looks=self.loop.passes,
                clock=self._clock,
                timing=self._timing,
                log=self._log,
            )
        except OSError as error:
            self._log.error("runner.stays", claim=claim, reason=str(error))
        finally:
            self._ending.pop(claim, None)
            self.loop.nudge()

    def look(self) -> None:
        """One look at folders and processes; what was lost is written down as an end."""
        self._held = tuple(self._settled(one) for one in look(self._root, self._boot))
        live = [one for one in self._held if one.live]
        self._starter.reap()
        self._watches.keep(_to_watch(live))
        self._outputs.release_all_but(frozenset(one.claim.claim for one in live))
        for one in live:
            if one.status is not None and one.status.pid is not None:
                self._outputs.hold_of(one.claim.claim, one.status.pid)
                if one.life is Life.ALONE:
                    self._outputs.take_over(one.claim.claim)
        reports = self.slots(), self.ended()
        if reports != self._reported:
            self._reported = reports
            self.changed()

    async def _pass(self) -> None:
        now = self._clock.monotonic()
        if now >= self._faults_due:
            self._faults = {slot.number: fault for slot in self._slots if (fault := fault_of(slot))}
            self._faults_due = now + self._timing.faults
        self.look()
        if self._removing is None and now >= self._remove_due:
            self._remove_due = now + self._timing.remove_again
            over = [
                one
                for one in self._held
                if not one.live and one.claim.claim in self._past.claims() and not self._kept(one.folder)
            ]
            folders = {one.folder: one.status.cgroup if one.status else None for one in over}
            folders |= dict.fromkeys(leftovers(self._root))
            if folders:
                self._removing = asyncio.get_running_loop().create_task(self._remove(folders))

    async def _remove(self, folders: dict[Path, str | None]) -> None:
        try:
            await remove_folders(folders, self._log, self._intend)
        except OSError as error:
            self._log.warning("slot_folder.kept", reason=str(error))
        finally:
            self._removing = None
            self.loop.nudge()

    def _settled(self, one: Held) -> Held:
        """`Life.LOST` becomes `Life.ENDED`, on disk where that takes it."""
        if one.life is not Life.LOST:
            return one
        if one.claim.claim not in self._unwritten:
            end = unseen_end(one, boot=self._boot, now=self._clock.now())
            self._log.warning("runner.lost", claim=one.claim.claim, slot=one.claim.slot, reason=end.tail[-200:])
            one = msgspec.structs.replace(one, status=end, life=Life.ENDED)
            self._record(one)
            return one
        return self._unwritten[one.claim.claim]

    def _record(self, one: Held) -> None:
        if one.status is not None and not record_end(one.folder, one.status):
            self._unwritten[one.claim.claim] = one
            self.loop.nudge()

    def _reached(self, claim: str, phase: Phase) -> None:
        one = self._find(claim)
        if one is not None and one.life is Life.ALONE and one.status is not None and one.status.phase != phase:
            record_end(one.folder, msgspec.structs.replace(one.status, phase=phase))
            self.loop.nudge()

    def _known(self) -> Known:
        return Known(slots=self._slots, held=self._held, past=self._past.claims() | frozenset(self._unwritten))

    def _find(self, claim: str) -> Held | None:
        return next((one for one in self._held if one.claim.claim == claim and one.live), None)

    async def close(self) -> None:
        """Stops looking. Runners and their shims go on."""
        running = set(self._ending.values())
        if self._removing is not None:
            running.add(self._removing)
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._starter.close()
        self._watches.close()
        self._outputs.release_all_but(frozenset())


def _to_watch(live: list[Held]) -> set[Named]:
    """The shim of a guarded runner, the runner itself of one that is alone."""
    out: set[Named] = set()
    for one in live:
        status = one.status
        if status is None:
            continue
        if one.life is Life.ALONE and status.pid is not None:
            out.add((status.pid, status.pid_start))
        elif status.shim_pid is not None:
            out.add((status.shim_pid, None))
    return out
