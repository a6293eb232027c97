"""Puts one fleet on virtual time together, and moves it on."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, text

from andon.github.in_process import InProcess
from andon.github.transport import Credentials, FixedToken
from andon.model.config import Config, GitHub, Owner, Pool
from andon.model.job_states import JobStatus
from andon.model.nouns import Claim
from andon.runtime.chance import Chance, seeded
from andon.runtime.clock import Clock
from andon.runtime.ids import SortableIds
from andon.sim.loop_clock import LoopClock
from andon.sim.sandbox.app import make_app
from andon.sim.sandbox.control import post
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.pump import Pump
from andon.sim.sandbox.records import Job, Stage
from andon.sim.sandbox.run_spec import JobSpec, RunSpec
from andon.sim.simulation.history import History
from andon.sim.simulation.in_process_http import Address, InProcessHttp, carry_to
from andon.sim.simulation.played_host import Evidence, PlayedHost
from andon.sim.simulation.played_store import Outage, Wakes
from andon.sim.simulation.processes import Process, note_owners
from andon.sim.simulation.replica import Replica, World
from andon.sim.simulation.trace import Trace
from andon.sim.simulation.troubles import Troubles
from andon.sim.virtual_loop import VirtualLoop, running_loop
from andon.store import claims, hosts, jobs
from andon.store.inline import InlineDatabase
from andon.store.transaction import Store

T = TypeVar("T")
LABELS = ("self-hosted", "linux", "x64")
REPOSITORY = "acme/app"
SECRET = "a-secret-of-the-simulation"


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How large the fleet is."""

    hosts: int = 2
    slots: int = 8
    repositories: int = 1
    """The first is `REPOSITORY`; the others have its name and a number."""
    sweep_seconds: float = 60.0
    max_slots: int | None = None
    replicas: int = 1
    """Control planes on the one database."""


SHAPE = Shape()


class Death(msgspec.Struct, frozen=True, kw_only=True):
    """A runner that had its JIT config, and will never take a job."""

    claim: str
    host: str
    at: float
    how: Evidence


class Simulation:
    """One fleet. Everything in it hangs on `seed`; `data` is an empty folder for secrets."""

    def __init__(
        self, seed: int, data: Path, shape: Shape = SHAPE, credentials: Callable[[Clock], Credentials] | None = None
    ) -> None:
        loop = running_loop()
        note_owners(loop)
        self.seed, self.shape = seed, shape
        self.repositories = (REPOSITORY, *(f"{REPOSITORY}-{number}" for number in range(1, shape.repositories)))
        self.clock = LoopClock(loop)
        self.trace = Trace(loop.time)
        self.faults: list[str] = []
        """What our programs logged as faults of their own."""
        self.violations: list[str] = []
        self.deaths: list[Death] = []
        """Runners that ended, or never came to life, before they had a job; whoever judges takes them."""
        self.troubles = Troubles(loop.time)
        self._seconds: dict[int, float] = {}
        self.jobs_made = 0
        """Jobs that were forgotten, which are over."""
        self.github = SandboxGitHub(self.clock, self.chance("github"), base_url="http://github.test")
        self.github_cut = False
        self.database = InlineDatabase()
        self.outage = Outage(self.clock)
        self.history = History(
            loop.time, self.violations.append, self.trace, shared=shape.replicas > 1, cap=shape.max_slots
        )
        self.address = Address()
        (data / "webhook.secret").write_text(SECRET)
        self.config = Config(
            pool=(Pool(name="linux", labels=LABELS),),
            owner=(Owner(login="acme", repositories=self.repositories, max_slots=shape.max_slots),),
            github=GitHub(sweep_seconds=shape.sweep_seconds),
        )
        self._pauses = self.chance("pauses")
        world = World(
            config=self.config,
            database=self.database,
            database_clock=self.clock,
            data=data,
            address=self.address,
            github=InProcess(carry_to(make_app(self.github), lambda: self.github_cut)),
            outage=self.outage,
            wakes=Wakes() if shape.replicas > 1 else None,
            history=self.history,
            pause=self._pause,
            trace=self.trace,
            faults=self.faults,
            credentials=FixedToken("a-token") if credentials is None else credentials(self.clock),
        )
        names = [f"control-{number}" for number in range(shape.replicas)] if shape.replicas > 1 else ["control"]
        self.replicas = {name: Replica(name, world, clock=LoopClock(loop), chance=self.chance(name)) for name in names}
        self.replica = self.replicas[names[0]]
        """The first, and mostly the only one."""
        self.hosts: dict[str, PlayedHost] = {}
        self._outside = Process("outside")

    def chance(self, of: str) -> Chance:
        """A source of randomness of its own, so that one part's rolls do not move another's."""
        return seeded(f"{self.seed}/{of}")

    async def _pause(self) -> None:
        """Now and then a commit takes its time, so that others get in between."""
        if self._pauses.random() < 0.05:
            await self.clock.sleep(self._pauses.random() * 0.02)

    async def start(self) -> None:
        """Starts GitHub, the control plane and the hosts."""
        client = InProcessHttp(self.address, "", caller="github")

        async def deliver(url: str, headers: Any, body: bytes) -> int:
            answer = await client.request("POST", "/webhooks/github", body=body, headers=headers, timeout=10.0)
            return answer.status

        self._outside.start(Pump(self.github, deliver).run())
        for repository in self.repositories:
            self.github.world.make_repository(repository)
        for replica in self.replicas.values():
            await replica.start()
        for repository in self.repositories:
            self._hook(repository)
        store = Store(self.database.door(), self.clock, SortableIds(self.clock, self.chance("enrolment")))
        for number in range(self.shape.hosts):
            name = f"host-{number}"
            token = f"aht_{name}"
            await store.write(lambda tx, name=name, token=token: hosts.enrol(tx, name, token))
            self.hosts[name] = PlayedHost(
                name,
                slots=self.shape.slots,
                github=self.github,
                address=self.address,
                token=token,
                chance=self.chance(name),
                seconds=self._job_seconds,
                trace=self.trace,
                faults=self.faults,
                violate=self.violations.append,
                died=self._died,
            )
            self.hosts[name].start_agent()

    def _hook(self, repository: str) -> None:
        hooks = self.github.hooks
        hooks.create(
            repository,
            target_id=1,
            url="http://andon.test/webhooks/github",
            content_type="json",
            secret=SECRET,
            events=("workflow_job", "workflow_run"),
            active=True,
        )

    def run(
        self, seconds: list[float], *, needs: bool = False, name: str = "job", repository: str = REPOSITORY
    ) -> list[int]:
        """A run with a job for each number of seconds; gives the jobs' ids."""
        specs = tuple(
            JobSpec(name=f"{name} {at}", labels=LABELS, needs=(f"{name} 0",) if needs and at else ())
            for at in range(len(seconds))
        )
        made = list(self.github.create_run(RunSpec(repository=repository, jobs=specs))["jobs"])
        self._seconds |= dict(zip(made, seconds, strict=True))
        return made

    def cancel_later(self, seconds: float) -> None:
        """The newest run is cancelled by a person after so long, if it is not over by then."""
        run = self.github.world.runs[max(self.github.world.runs)]

        def cancel() -> None:
            if run.latest.status != "completed":
                self.github.runs.cancel(run)

        self.github.world.timers.at(self.github.world.after(seconds), cancel)

    def _job_seconds(self, job: Job) -> float:
        return self._seconds.get(job.id, 30.0)

    def _died(self, host: str, claim: str, how: Evidence) -> None:
        self.deaths.append(Death(claim=claim, host=host, at=self.clock.monotonic(), how=how))

    def fault(self, **spec: Any) -> int:
        """Sets a fault of the sandbox; gives its number."""
        status, answer = post(self.github, "/_sandbox/faults", spec)
        if status >= 300:
            raise ValueError(str(answer))
        return int(answer["id"])

    async def pass_time(self, seconds: float) -> None:
        """Lets the fleet live for so long."""
        await self.clock.sleep(seconds)

    async def until(self, what: str, holds: Callable[[], Any], seconds: float) -> float:
        """Lets the fleet live until `holds`; gives how long that took, in seconds. Notes a violation when it
        does not within `seconds`."""
        began = self.clock.monotonic()
        while not holds():
            if self.clock.monotonic() - began > seconds:
                self.violations.append(f"not within {seconds:g} s: {what}")
                break
            await self.clock.sleep(0.25)
        return self.clock.monotonic() - began

    def job(self, job_id: int) -> Job:
        """A job as GitHub has it."""
        return self.github.world.jobs[job_id]

    def is_over(self, *job_ids: int) -> bool:
        """Whether GitHub calls all of them completed."""
        return all(self.job(job_id).stage is Stage.COMPLETED for job_id in job_ids)

    def runs(self, *job_ids: int) -> bool:
        """Whether GitHub calls all of them in progress."""
        return all(self.job(job_id).stage is Stage.IN_PROGRESS for job_id in job_ids)

    def registered(self) -> set[str]:
        """Names of the runners that are registered at GitHub now."""
        return {each.name for each in self.github.world.runners.values() if each.removed_at is None}

    def ask(self, question: Callable[[Connection], T]) -> T:
        """Asks our own tables, by a function of the store. To explain and to wait, not to judge by."""
        with self.database.connection.begin():
            return question(self.database.connection)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """What our own tables say to a statement; `ask` is for new stories."""
        return self.ask(lambda connection: list(connection.execute(text(statement), values).all()))

    def live_claims(self) -> list[Claim]:
        """Claims that hold a slot, by our tables."""
        return self.ask(claims.live_claims)

    def is_over_here(self, job_id: int) -> bool:
        """Whether our tables call this job completed."""
        found = self.ask(lambda connection: jobs.get_job(connection, job_id))
        return found is not None and found.status is JobStatus.COMPLETED

    async def settle(self, seconds: float) -> None:
        """Lets the fleet live until nothing is open any more, at most for so long; a job that runs by then may end
        in its own time."""
        until = self.clock.monotonic() + seconds
        while self.clock.monotonic() < until:
            await self.clock.sleep(30.0)
            if self.is_quiet():
                return
            until = max(until, self._work_ends() + 120.0)

    def _work_ends(self) -> float:
        """When the last of the jobs that run now should end."""
        now, at = self.clock.now(), self.clock.monotonic()
        return max(
            (
                at + self._job_seconds(job) - (now - job.started_at).total_seconds()
                for job in self.github.world.jobs.values()
                if job.stage is Stage.IN_PROGRESS and job.started_at is not None and job.to_play is None
            ),
            default=0.0,
        )

    def is_quiet(self) -> bool:
        """Nothing is open at GitHub or registered there, nothing lives on a host, and nothing is open in our tables."""
        if self.registered() or any(job.stage is not Stage.COMPLETED for job in self.github.world.jobs.values()):
            return False
        return (
            all(host.quiet for host in self.hosts.values()) and not self.live_claims() and not self.ask(jobs.unfinished)
        )

    def forget_the_past(self) -> None:
        """GitHub and we forget what is over, as both do after their time: a season must not slow down by its length.

        So does GitHub with what it would never end by itself. What still waits, say for its concurrency group, stays:
        GitHub offers it one day, and a run that nobody finds any more would be offered to every runner in turn.
        """
        world = self.github.world
        stays = {
            job.run.id
            for job in world.jobs.values()
            if job.stage is not Stage.COMPLETED and not job.is_held_by_a_fault and not job.for_ever
        }
        gone = [job for job in world.jobs.values() if job.run.id not in stays]
        self.jobs_made += len(gone)
        for job in gone:
            self.github.binder.job_gone(job)
            del world.jobs[job.id]
            world.runs.pop(job.run.id, None)
            job.run.repository.runs.pop(job.run.id, None)
            job.run.repository.open_runs.pop(job.run.id, None)
        world.runners = {key: runner for key, runner in world.runners.items() if runner.removed_at is None}
        world.runner_by_token = {runner.token: runner for runner in world.runners.values()}
        world.registrations.clear()
        self.github.hooks.forget_the_past()
        self.github.faults.struck.clear()
        self.history.forget()
        self.troubles.forget()
        self._seconds.clear()

    async def sleep_through(self, seconds: float) -> None:
        """Nothing is open and nobody pushes: every machine sleeps, and wakes at the same moment."""
        running_loop().sleep_through(seconds)
        await self.clock.sleep(60.0)

    async def close(self) -> None:
        """Ends everything."""
        for host in self.hosts.values():
            await host.reboot()
        for replica in self.replicas.values():
            await replica.end()
        await self._outside.end()
        self.github.close()
        self.database.close()


def play(story: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a story on a loop of its own whose time jumps."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story())
