"""A host played in process: its agent's reports, and runners that speak to the sandbox without HTTP.

It outlives every control plane of a test, as real agents do: it repeats its report until that was
acknowledged, and starts each claim once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from andon.model.wire import EndReport, SlotReport, SlotState, SyncAnswer, SyncRequest
from andon.runtime.clock import Clock
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Job, Runner, Session
from andon.sim.sandbox.refusals import ApiError
from andon.store import hosts
from andon.store.apply_sync import apply_report, wishes
from andon.store.transaction import Store, Tx


def _step(number: int) -> dict[str, Any]:
    return {"name": f"step {number}", "number": number + 1, "status": "queued", "conclusion": None}


STEP_S = 20
"""A step of a running job is over every so many seconds: what GitHub shows of the job changes then."""


@dataclass
class Played:
    """One runner's process on a slot."""

    claim: str
    generation: int
    name: str
    runner: Runner | None = None
    session: Session | None = None
    job: Job | None = None
    done_at: float = 0.0
    stopped: bool = False


@dataclass
class PlayedHost:
    """One host with a few slots of the pool "linux"."""

    github: SandboxGitHub
    clock: Clock
    name: str = "host-a"
    count: int = 2
    seconds: Callable[[Job], float] = lambda job: 5.0
    """How long a job runs."""
    started: list[str] = field(default_factory=list[str])
    """Claims whose runner was started, in order: each must stand here once."""
    slots: dict[int, Played | None] = field(default_factory=dict[int, Played | None])
    _ended: list[EndReport] = field(default_factory=list[EndReport])
    _seq: int = 0

    def __post_init__(self) -> None:
        self.slots = dict.fromkeys(range(self.count))

    @property
    def quiet(self) -> bool:
        """Nothing runs here and nothing is left to report."""
        return not self._ended and not any(self.slots.values())

    async def enrol(self, store: Store) -> None:
        await store.write(lambda tx: hosts.enrol(tx, self.name, f"aht_{self.name}"))

    async def sync(self, store: Store, pools: dict[str, Any], **how: Any) -> None:
        """One report and its answer; what raises in between leaves everything to be repeated."""
        self._seq += 1
        request = SyncRequest(
            host=self.name,
            boot_id="boot",
            seq=self._seq,
            agent_version="1",
            slots=tuple(self._slot(number, each) for number, each in self.slots.items()),
            ended=tuple(self._ended),
        )

        def work(tx: Tx) -> None:
            host = hosts.get_host(tx.connection, self.name)
            assert host is not None
            apply_report(tx, host, request, pools)

        await store.write(work)
        now = self.clock.now()
        wish = await store.read(
            lambda connection: wishes(connection, self.name, now=now, ack=request.seq, resync=False, policy={}, **how)
        )
        self._ended = [end for end in self._ended if end not in request.ended]
        self._obey(wish)

    def step(self) -> None:
        """Lets every runner poll, take its job, end it, and go."""
        self.github.tick()
        for number, played in self.slots.items():
            if played is None:
                continue
            try:
                over = played.stopped or self._go_on(played)
                code = 0
            except ApiError:
                over, code = True, 1
            if over:
                self._ended.append(
                    EndReport(claim=played.claim, generation=played.generation, exit=code, at=self.clock.now())
                )
                self.slots[number] = None

    def _obey(self, wish: SyncAnswer) -> None:
        for order in wish.claims:
            if order.id not in self.started and self.slots[order.slot] is None:
                self.started.append(order.id)
                self.slots[order.slot] = Played(claim=order.id, generation=order.generation, name=order.runner)
        for stop in wish.stop:
            for played in self.slots.values():
                if played is not None and played.claim == stop.claim:
                    played.stopped = True

    def _go_on(self, played: Played) -> bool:
        """One step of a runner; says whether its process is over. Raises ApiError when GitHub sends it away."""
        if played.session is None:
            found = [each for each in self.github.world.runners.values() if each.name == played.name]
            played.runner = next(each for each in found if each.removed_at is None or each is found[-1])
            played.session = self.github.runners.open_session(played.runner, version="2.336.0", os="linux")
        runner = played.runner
        assert runner is not None
        if played.job is not None:
            if self.clock.monotonic() < played.done_at and not played.job.cancel_requested:
                self.github.execution.renew(runner, played.job.id)
                done = int(played.done_at - self.clock.monotonic()) // STEP_S
                steps = [_step(number) for number in range(done)]
                if len(steps) != len(played.job.steps):
                    self.github.execution.report_steps(runner, played.job.id, steps)
                return False
            conclusion = "cancelled" if played.job.cancel_requested else "success"
            self.github.execution.complete(runner, played.job.id, conclusion, [])
            return True
        self.github.runners.begin_poll(played.session)
        try:
            message = self.github.execution.next_message(played.session)
        finally:
            self.github.runners.end_poll(played.session)
        if message is not None and message["kind"] == "job":
            played.job = self.github.execution.acquire(runner, played.session.id, message["job"]["id"])
            played.done_at = self.clock.monotonic() + self.seconds(played.job)
        return False

    def _slot(self, number: int, played: Played | None) -> SlotReport:
        if played is None:
            return SlotReport(slot=number, pool="linux", state=SlotState.IDLE)
        state = (
            SlotState.RUNNING
            if played.job is not None
            else SlotState.LISTENING
            if played.session is not None
            else SlotState.STARTING
        )
        return SlotReport(
            slot=number,
            pool="linux",
            state=state,
            claim=played.claim,
            generation=played.generation,
            runner=played.name,
        )
