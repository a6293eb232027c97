"""A host whose disk and processes are played, and whose agent is the real one where it decides and speaks.

`agent.plan` says what an answer makes it do and what it reports; `agent.sync_client` carries the sync.
Claims and runners stand for the slot directories and processes: they outlive the agent, not a reboot.
"""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import msgspec

from andon.agent.backoff import Backoff
from andon.agent.claim_record import ClaimRecord, Phase, StatusRecord
from andon.agent.held import Held, judge
from andon.agent.lost_end import unseen_end
from andon.agent.plan import Known, end_reports, plan, slot_reports
from andon.agent.slot_table import Slot
from andon.agent.sync_client import SyncClient
from andon.agent.timing import Timing
from andon.model.wire import ClaimOrder, EndReport, SlotReport, SyncAnswer
from andon.runtime.chance import Chance
from andon.runtime.loop import Nudge
from andon.sim.loop_clock import LoopClock
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Job, Stage
from andon.sim.simulation.in_process_http import Address, InProcessHttp
from andon.sim.simulation.played_runner import PlayedRunner, never_boots
from andon.sim.simulation.processes import Process
from andon.sim.simulation.trace import Trace, TracedLog
from andon.sim.virtual_loop import running_loop

_PAST = 1000


class Evidence(StrEnum):
    """How the end of a runner without a job can be known (R27)."""

    TOLD = "told"
    """Its agent saw the end, and reports it."""
    LOST = "lost"
    """The report of its end is lost, and the host answers."""
    SILENT = "silent"
    """Its process lives and does nothing: there is no evidence at all."""


class _Claim:
    """What stands on the host's disk for one claim, and its process."""

    def __init__(self, record: ClaimRecord) -> None:
        self.record = record
        self._folder = Path(record.claim)
        self.status: StatusRecord | None = None
        self.process: Process | None = None
        self.runner: PlayedRunner | None = None

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.alive

    @property
    def had_a_job(self) -> bool:
        """Whether it took one, at GitHub."""
        return self.runner is not None and self.runner.runner is not None and bool(self.runner.runner.served)

    def held(self, boot: str) -> Held:
        """As the agent's look would find it."""
        life = judge(guarded=self.lives, alive=self.lives, status=self.status, boot=boot)
        return Held(folder=self._folder, claim=self.record, status=self.status, life=life)


class PlayedHost:
    """One host: its agent can be ended and started, its machine can be restarted, its network cut."""

    def __init__(
        self,
        name: str,
        *,
        slots: int,
        github: SandboxGitHub,
        address: Address,
        token: str,
        chance: Chance,
        seconds: Callable[[Job], float],
        trace: Trace,
        faults: list[str],
        violate: Callable[[str], None],
        died: Callable[[str, str, Evidence], None] = lambda host, claim, how: None,
    ) -> None:
        """`died` is told of each runner that had no job: host, claim, and how that can be known."""
        self.name = name
        self.clock = LoopClock(running_loop())
        self.changed = Nudge()
        self.starts_fail = 0.0
        """How likely a runner ends before it registers."""
        self.starts_hang = 0.0
        """How likely a runner never does anything."""
        self.starts_lost = 0.0
        """How many of the starts end with their folder gone, so that nobody here can tell of the end."""
        self.offline = False
        """Whether GitHub is out of reach from here."""
        self._slots = tuple(Slot(number=number, pool="linux", command=("/runner",)) for number in range(slots))
        self._github, self._address, self._token = github, address, token
        self._chance, self._seconds, self._trace, self._violate = chance, seconds, trace, violate
        self._died = died
        self._log = TracedLog(trace, name, faults)
        self._boots = 0
        self._claims: dict[str, _Claim] = {}
        self._past: dict[str, None] = {}
        self._stopping: dict[str, None] = {}
        self._agent: Process | None = None
        self.served = 0

    @property
    def boot_id(self) -> str:
        return f"{self.name}-boot-{self._boots}"

    @property
    def jobs_running(self) -> int:
        """How many jobs run here now."""
        return sum(
            each.lives and each.runner is not None and each.runner.job is not None for each in self._claims.values()
        )

    @property
    def quiet(self) -> bool:
        """Nothing lives here, and nothing is left to report."""
        return not any(each.lives for each in self._claims.values()) and not self.ended()

    @property
    def agent_lives(self) -> bool:
        """Whether its agent runs."""
        return self._agent is not None

    def start_agent(self) -> None:
        """The agent begins; what stands here it finds again."""
        if self._agent is not None:
            return
        agent = Process(f"agent {self.name}")
        self._agent = agent
        sync = SyncClient(
            InProcessHttp(self._address, "http://andon.test", caller=self.name, token=self._token),  # pyright: ignore[reportArgumentType]
            self,
            host=self.name,
            boot_id=self.boot_id,
            version="1.0.0",
            clock=self.clock,
            timing=Timing(),
            backoff=Backoff(first=0.5, longest=5.0, chance=self._chance.random),
            log=self._log,  # pyright: ignore[reportArgumentType]
        )
        agent.start(self._serve(sync))
        self._trace.note(self.name, "agent.started", boot=self._boots)

    async def _serve(self, sync: SyncClient) -> None:
        try:
            await sync.run()
        except Exception:
            # A played agent that breaks is a fault of ours, and must not look like a silent host.
            self._log.exception("agent.broke")

    async def end_agent(self) -> None:
        """SIGKILL; runners go on."""
        if self._agent is not None:
            await self._agent.end()
            self._agent = None
        self._stopping.clear()
        self._trace.note(self.name, "agent.ended")

    async def reboot(self) -> None:
        """Everything on it ends; what is on its disk stays."""
        await self.end_agent()
        for each in self._claims.values():
            if each.process is not None:
                if each.lives and not each.had_a_job:
                    self._died(self.name, each.record.claim, Evidence.TOLD)
                await each.process.end()
        self._boots += 1
        self._trace.note(self.name, "host.rebooted", boot=self._boots)

    def slots(self) -> tuple[SlotReport, ...]:
        """As `agent.supervisor` has it."""
        return slot_reports(self._known(), frozenset(self._stopping), {})

    def ended(self) -> tuple[EndReport, ...]:
        """As `agent.supervisor` has it."""
        return end_reports(self._look(), self._past.keys())

    def acknowledge(self, ends: tuple[EndReport, ...]) -> None:
        """As `agent.supervisor` has it: the folders go."""
        for end in ends:
            self._past[end.claim] = None
            self._claims.pop(end.claim, None)
        while len(self._past) > _PAST:
            del self._past[next(iter(self._past))]

    def apply(self, answer: SyncAnswer) -> None:
        """As `agent.supervisor` has it."""
        wanted = plan(self._known(), answer, self.clock.now())
        for order in wanted.renew:
            claim = self._claims[order.id]
            claim.record = msgspec.structs.replace(claim.record, generation=order.generation)
        for order in wanted.start:
            self._start(order)
        for claim_id in wanted.stop:
            if claim_id not in self._stopping:
                self._stopping[claim_id] = None
                assert self._agent is not None
                self._agent.start(self._stop(claim_id))

    def _look(self) -> tuple[Held, ...]:
        """Judges what stands here; an end that nobody saw is written down, as the agent does."""
        found: list[Held] = []
        for each in self._claims.values():
            held = each.held(self.boot_id)
            if held.life.value == "lost":
                each.status = unseen_end(held, boot=self.boot_id, now=self.clock.now())
                held = each.held(self.boot_id)
            found.append(held)
        return tuple(found)

    def _known(self) -> Known:
        return Known(slots=self._slots, held=self._look(), past=self._past.keys())

    def _start(self, order: ClaimOrder) -> None:
        for claim_id, each in self._claims.items():
            if each.lives and each.record.slot == order.slot:
                self._violate(f"{order.id} was started on slot {order.slot} of {self.name}, where {claim_id} lives")
        record = ClaimRecord(
            claim=order.id,
            generation=order.generation,
            slot=order.slot,
            pool="linux",
            runner=order.runner,
            ordered_at=self.clock.now(),
        )
        claim = self._claims[order.id] = _Claim(record)
        claim.status = StatusRecord(phase=Phase.STARTING, boot_id=self.boot_id, started_at=self.clock.now())
        claim.process = Process(f"runner {order.runner}")
        self._trace.note(self.name, "runner.started", claim=order.id, slot=order.slot)
        claim.process.start(self._live(claim))
        self.changed()

    async def _live(self, claim: _Claim) -> None:
        roll = self._chance.random()
        runner = claim.runner = PlayedRunner(
            self._github,
            claim.record.runner,
            self.clock,
            boot_s=0.5 + 3 * self._chance.random(),
            seconds=self._seconds,
            reached=lambda phase: self._reached(claim, phase),
            offline=lambda: self.offline,
        )
        if roll < self.starts_fail:
            await self.clock.sleep(1.0)
            code = 1
        elif roll < self.starts_fail + self.starts_hang:
            self._died(self.name, claim.record.claim, Evidence.SILENT)
            code = await never_boots()
        elif roll < self.starts_fail + self.starts_hang + self.starts_lost:
            await self.clock.sleep(2.0)
            self._is_gone(claim)
            return
        else:
            code = await runner.run()
        self._over(claim, exit_code=code, tail=runner.tail)

    def _reached(self, claim: _Claim, phase: Phase) -> None:
        assert claim.status is not None
        claim.status = msgspec.structs.replace(claim.status, phase=phase)
        self.changed()

    def _over(self, claim: _Claim, *, exit_code: int | None, tail: str, signal: int | None = None) -> None:
        assert claim.status is not None and claim.process is not None
        claim.process.alive = False
        self._stopping.pop(claim.record.claim, None)
        claim.status = msgspec.structs.replace(
            claim.status, phase=Phase.ENDED, ended_at=self.clock.now(), exit=exit_code, signal=signal, tail=tail
        )
        self._trace.note(self.name, "runner.ended", claim=claim.record.claim, exit=exit_code, signal=signal)
        if not claim.had_a_job:
            self._died(self.name, claim.record.claim, Evidence.TOLD)
        self.changed()

    async def _stop(self, claim_id: str) -> None:
        """The control plane's order: SIGINT, and then it is gone."""
        await self.clock.sleep(0.5)
        claim = self._claims.get(claim_id)
        if claim is None or claim.process is None or not claim.process.alive:
            self._stopping.pop(claim_id, None)
            return
        job = claim.runner.job if claim.runner is not None else None
        # A process that outlives its job by a quarter of an hour, by GitHub's word, is reclaimed (R29).
        if claim.runner is not None and job is not None and job.stage is not Stage.COMPLETED:
            self._violate(f"the runner {claim.record.runner} was ended while job {job.id} ran on it")
        await self._end(claim, signal=2)

    async def end_a_runner(self, claim_id: str) -> None:
        """Something outside ends a runner: the kernel, a person."""
        claim = self._claims.get(claim_id)
        if claim is not None and claim.lives:
            await self._end(claim, signal=9)

    async def lose_a_runner(self, claim_id: str) -> None:
        """A runner ends and its folder is gone with it: nobody here can tell of its end any more."""
        claim = self._claims.get(claim_id)
        if claim is None or claim.process is None or not claim.lives:
            return
        await claim.process.end()
        self._is_gone(claim)

    def _is_gone(self, claim: _Claim) -> None:
        assert claim.process is not None
        claim.process.alive = False
        self._claims.pop(claim.record.claim, None)
        self._stopping.pop(claim.record.claim, None)
        self._trace.note(self.name, "runner.lost", claim=claim.record.claim)
        if not claim.had_a_job:
            self._died(self.name, claim.record.claim, Evidence.LOST)
        self.changed()

    async def _end(self, claim: _Claim, *, signal: int) -> None:
        assert claim.process is not None
        tail = claim.runner.tail if claim.runner is not None else ""
        await claim.process.end()
        self._over(claim, exit_code=None, signal=signal, tail=tail)

    def unused_configs(self) -> list[str]:
        """Claims whose process lives and could still take a job, as far as GitHub knows."""
        return [
            claim
            for claim, each in self._claims.items()
            if each.lives
            and each.runner is not None
            and (runner := each.runner.runner) is not None
            and runner.removed_at is None
            and not runner.served
        ]

    def live_claims(self) -> list[str]:
        """Claims whose process lives, in the order of their start."""
        return [claim for claim, each in self._claims.items() if each.lives]
