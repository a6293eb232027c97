"""With `ingest = "poll"` everything arrives without a delivery: the whole life of jobs, in time, and
for at most half of the API budget (R4, R97)."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from andon.github.asking import Listed
from andon.github.outcomes import Failed, FailureClass
from andon.loops.sweep import ROTATION_S, Sweep
from andon.model.config import Config, Owner
from andon.model.config import GitHub as GitHubConfig
from andon.model.job_states import JobStatus
from andon.sim.sandbox.run_spec import JobSpec, RunSpec
from andon.store import journal
from andon.store.schema import deliveries
from tests.support.builders import LABELS, a_config, a_pool
from tests.support.databases import Place
from tests.support.played_host import PlayedHost

REPOSITORIES = tuple(f"acme/app-{number}" for number in range(10))
POLL_S = 20.0
STEP_S = 4
POLLING = GitHubConfig(ingest="poll", poll_seconds=POLL_S)


def polling(*repositories: str, **changes: Any) -> Config:
    owner = Owner(login="acme", repositories=repositories or ("acme/app",))
    return a_config(pool=(a_pool(),), owner=(owner,), github=POLLING, **changes)


class Polled:
    """A world whose only source of news is the sweep, at its own times."""

    def __init__(self, world: Any, host: PlayedHost) -> None:
        self.world, self.host = world, host
        self.periods: dict[str, float] = {}
        self.sweep = Sweep(world.fleet, show_period=lambda owner, seconds: self.periods.update({owner: seconds}))
        self.due = 0.0
        self.renewed = 0.0
        self.seen: dict[int, float] = {}
        """By job, how many seconds after it was queued it stood in our tables."""

    async def second(self, seconds: float = 1.0) -> None:
        """Lets the sweep run when it is due, everybody else after it, and time pass."""
        world = self.world
        busy = not self.host.quiet
        self.host.step()
        if world.clock.monotonic() >= self.due:
            busy = True
            pause = await self.sweep.run_once()
            self.due = world.clock.monotonic() + (POLL_S if pause is None else pause)
            await self._note_seen()
            await world.deadlines()
        if busy:
            await self.host.sync(world.store, {pool.name: pool for pool in world.config.pool})
            await world.dispatch()
            await world.act()
            await self.host.sync(world.store, {pool.name: pool for pool in world.config.pool})
        world.clock.advance(seconds)
        if world.clock.monotonic() >= self.renewed + 5:
            self.renewed = world.clock.monotonic()
            await world.pass_time(0)

    async def run_for(self, seconds: float, step: float = 1.0) -> None:
        for _ in range(int(seconds / step)):
            await self.second(step)

    async def until(self, *job_ids: int, status: JobStatus = JobStatus.COMPLETED, most_s: float = 400) -> None:
        for _ in range(int(most_s)):
            known = [await self.world.job(job_id) for job_id in job_ids]
            if all(job is not None and job.status is status for job in known):
                return
            await self.second()
        raise AssertionError(f"not {status} within {most_s} s: {self.world.github.truth()['jobs']}")

    async def _note_seen(self) -> None:
        world = self.world
        for job in [*world.github.world.jobs.values()]:
            if job.id in self.seen or not job.history:
                continue
            if await world.job(job.id) is not None:
                self.seen[job.id] = (world.clock.now() - job.history[0].at).total_seconds()


async def polled(world: Any, *, slots: int = 2, seconds: Callable[[Any], float] = lambda job: 5.0) -> Polled:
    host = PlayedHost(github=world.github, clock=world.clock, count=slots, seconds=seconds)
    await host.sync(world.store, {})
    for repository in world.fleet.repositories():
        world.github.world.make_repository(repository)
    return Polled(world, host)


async def kinds(world: Any, job_id: int) -> list[str]:
    lines = await world.store.read(lambda connection: journal.story_of_job(connection, job_id))
    return [line.entry.kind for line in lines if line.entry.kind.startswith("job.")]


def start(world: Any, *specs: JobSpec, repository: str = "acme/app") -> list[int]:
    return list(world.github.create_run(RunSpec(repository=repository, jobs=specs))["jobs"])


def spec(name: str, **changes: Any) -> JobSpec:
    return JobSpec(name=name, labels=LABELS, **changes)


def counted(world: Any) -> int:
    """Calls that GitHub counts: all but those answered "not modified"."""
    return sum(number for (_, status), number in world.calls.items() if status != "304")


def test_the_whole_life_of_jobs_arrives_without_a_delivery(play: Any) -> None:
    async def story(world: Any) -> None:
        fleet = await polled(world, seconds=lambda job: 25.0)
        build, test = start(world, spec("build"), spec("test", needs=("build",)))
        await fleet.until(build, test)
        assert max(fleet.seen.values()) <= POLL_S + 1, "also the one that appeared when another ended"
        assert await kinds(world, build) == ["job.queued", "job.in_progress", "job.completed"]
        assert await kinds(world, test) == ["job.queued", "job.in_progress", "job.completed"]
        assert {(await world.job(each)).conclusion for each in (build, test)} == {"success"}
        rows = await world.store.read(lambda connection: connection.execute(deliveries.select()).all())
        assert rows == []

    play(story, polling())


def test_a_rerun_is_a_new_attempt_and_is_run(play: Any) -> None:
    async def story(world: Any) -> None:
        fleet = await polled(world)
        (first,) = start(world, spec("build"))
        await fleet.until(first)
        (run,) = world.github.world.runs.values()
        attempt = world.github.runs.rerun(run)
        (second,) = [job.id for job in attempt.jobs]
        await fleet.until(second)
        assert ((await world.job(first)).attempt, (await world.job(second)).attempt) == (1, 2)
        assert (await world.job(second)).conclusion == "success"

    play(story, polling())


def test_a_job_cancelled_while_it_was_queued_ends_for_us_too(play: Any) -> None:
    async def story(world: Any) -> None:
        fleet = await polled(world, slots=1, seconds=lambda job: 300.0)
        (holds,) = start(world, spec("holds"))
        await fleet.until(holds, status=JobStatus.IN_PROGRESS)
        (waits,) = start(world, spec("waits"))
        await fleet.until(waits, status=JobStatus.QUEUED)
        world.github.runs.cancel(world.github.world.jobs[waits].run)
        await fleet.until(waits)
        assert (await world.job(waits)).conclusion == "cancelled"

    play(story, polling())


def test_a_run_that_began_and_ended_between_two_passes_is_known(play: Any) -> None:
    async def story(world: Any) -> None:
        start(world, spec("history"))
        world.cancel_the_run()
        await world.pass_time(3600)
        fleet = await polled(world)
        await fleet.run_for(2)
        (short,) = start(world, spec("short"))
        world.github.runs.cancel(world.github.world.jobs[short].run)
        await fleet.until(short)
        old = next(iter(world.github.world.jobs))
        assert old != short and await world.job(old) is None, "what was over before we came is history"

    play(story, polling())


def test_a_burst_of_runs_beyond_the_first_page_is_seen_in_time(play: Any) -> None:
    async def story(world: Any) -> None:
        fleet = await polled(world, slots=0)
        start(world, spec("before"))
        await fleet.run_for(2)
        for _ in range(70):
            start(world, spec("burst"))
        await fleet.run_for(POLL_S + 1)
        assert len(fleet.seen) == 71
        assert max(fleet.seen.values()) <= POLL_S + 1

    play(story, polling())


@pytest.mark.parametrize(("ingest", "most_s"), [("poll", 30), ("webhook", 180)])
def test_an_old_run_that_is_run_again_is_seen_in_time(play: Any, ingest: Any, most_s: float) -> None:
    async def story(world: Any) -> None:
        fleet = await polled(world, slots=0)
        start(world, spec("old"))
        world.cancel_the_run()
        (old,) = world.github.world.runs.values()
        for _ in range(40):
            start(world, spec("newer"))
        await fleet.run_for(2)
        (again,) = [job.id for job in world.github.runs.rerun(old).jobs]
        await fleet.until(again, status=JobStatus.QUEUED, most_s=most_s)

    github = msgspec.structs.replace(POLLING, ingest=ingest)
    play(story, msgspec.structs.replace(polling(), github=github))


def test_passes_over_what_has_not_changed_cost_nothing(play: Any) -> None:
    async def story(world: Any) -> None:
        fleet = await polled(world, slots=0)
        start(world, spec("waits"))
        await fleet.run_for(200)
        before, asked = counted(world), sum(world.calls.values())
        lines = await world.store.read(lambda connection: journal.newest(connection, 500))
        await fleet.run_for(600)
        assert sum(world.calls.values()) - asked >= 60
        assert counted(world) == before
        assert await world.store.read(lambda connection: journal.newest(connection, 500)) == lines

    play(story, polling())


def test_beyond_so_many_repositories_the_idle_ones_are_read_in_rotation(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(world: Any) -> None:
        fleet = await polled(world, slots=0)
        for repository in ("acme/app-2", "acme/app-3"):
            start(world, spec("active"), repository=repository)
        await fleet.run_for(POLL_S * 2)
        (idle,) = start(world, spec("idle"), repository="acme/app-0")
        (active,) = start(world, spec("active"), repository="acme/app-3")
        await fleet.until(active, status=JobStatus.QUEUED, most_s=POLL_S + 1)
        assert await world.job(idle) is None
        await fleet.until(idle, status=JobStatus.QUEUED, most_s=ROTATION_S + POLL_S)
        (now_active,) = start(world, spec("again"), repository="acme/app-0")
        await fleet.until(now_active, status=JobStatus.QUEUED, most_s=POLL_S * 2)

    monkeypatch.setattr("andon.loops.sweep.OFTEN", 2)
    play(story, polling(*REPOSITORIES[:4]))


@pytest.mark.parametrize("fault", [{"status": 502}, {"status": 403}, {"status": 404}])
def test_a_failed_read_ends_the_pass_there_and_concludes_nothing(play: Any, fault: dict[str, int]) -> None:
    async def story(world: Any) -> None:
        fleet = await polled(world, slots=0)
        (here,) = start(world, spec("here"), repository="acme/app-0")
        await fleet.until(here, status=JobStatus.QUEUED)
        match = {"endpoint": "GET */actions/runs*", "repository": "acme/app-0"}
        world.fault(kind="api_error", match=match, **fault)
        (late,) = start(world, spec("late"), repository="acme/app-0")
        (there,) = start(world, spec("there"), repository="acme/app-1")
        await fleet.run_for(120)
        assert (await world.job(here)).status is JobStatus.QUEUED
        assert await world.job(late) is None
        assert (await world.job(there)).status is JobStatus.QUEUED, "the others' news is not held up"
        world.github.faults.clear()
        await fleet.until(late, status=JobStatus.QUEUED, most_s=POLL_S + 1)
        assert world.log.faults == []

    play(story, polling("acme/app-0", "acme/app-1"))


def test_an_answer_that_could_not_be_written_down_is_written_at_the_next_pass(play: Any) -> None:
    async def story(world: Any) -> None:
        fleet = await polled(world, slots=0)
        await fleet.run_for(2)
        (job,) = start(world, spec("build"))
        await world.pass_time(POLL_S)
        working = world.store.write

        async def broken(work: Any) -> Any:
            raise OSError("disk full")

        world.store.write = broken
        await fleet.sweep.run_once()
        world.store.write = working
        assert await world.job(job) is None
        assert world.log.faults == ["sweep.broke"]
        world.log.faults.clear()
        await world.pass_time(POLL_S)
        await fleet.sweep.run_once()
        assert (await world.job(job)).status is JobStatus.QUEUED, "the ETag of an answer that was lost hides nothing"

    play(story, polling())


def test_the_period_is_stretched_as_the_quota_falls_and_is_shown(play: Any) -> None:
    async def story(world: Any) -> None:
        fleet = await polled(world, slots=0)
        start(world, spec("build"))
        await fleet.run_for(100)
        assert fleet.periods == {"acme": POLL_S}
        known = world.fleet.github.budgets

        def nearly_spent() -> Any:
            return tuple(msgspec.structs.replace(each, remaining=each.reserve + 4) for each in known())

        world.fleet.github.budgets = nearly_spent
        start(world, spec("another"))
        await fleet.run_for(60)
        assert fleet.periods["acme"] > 2 * POLL_S

    play(story, polling())


def test_an_owner_without_repositories_is_watched_where_the_app_is_installed(play: Any) -> None:
    async def story(world: Any) -> None:
        answers: list[Any] = [
            Failed(kind=FailureClass.RETRY_LATER, status=502, message="bad gateway"),
            Listed(items=(_Named("acme/one"), _Named("acme/two")), at=None),
            Failed(kind=FailureClass.RETRY_LATER, status=502, message="bad gateway"),
        ]
        asked: list[str] = []

        async def installation_repositories(owner: str) -> Any:
            asked.append(owner)
            return answers.pop(0) if len(answers) > 1 else answers[0]

        world.fleet.github.installation_repositories = installation_repositories
        fleet = await polled(world, slots=0)
        (job,) = start(world, spec("build"), repository="acme/two")
        await fleet.run_for(10, step=10)
        assert (await world.job(job), asked) == (None, ["acme"])
        await fleet.until(job, status=JobStatus.QUEUED, most_s=3 * POLL_S)
        assert asked == ["acme"] * 2, "a failed question at the start is asked again soon"
        await fleet.run_for(590, step=10)
        assert asked == ["acme"] * 2, "an answer stands for a while"
        await fleet.run_for(20, step=10)
        (later,) = start(world, spec("later"), repository="acme/one")
        await fleet.until(later, status=JobStatus.QUEUED, most_s=POLL_S + 1)
        assert len(asked) >= 3, "a failed question leaves the repositories as they were"

    github = msgspec.structs.replace(POLLING, app_id=1, private_key_file="app.pem")
    play(story, a_config(pool=(a_pool(),), owner=(Owner(login="acme"),), github=github))


class _Named(msgspec.Struct):
    full_name: str


def test_ten_active_repositories_are_served_in_time_for_half_the_budget(
    play: Any, place: Place, count: Callable[[int], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A run of three jobs in each repository every four minutes: 450 jobs an hour."""
    # Time here is virtual: which database keeps the news changes nothing but the length of the test.
    simulated_s = count(3600 if place.kind == "sqlite" else 600)

    async def story(world: Any) -> None:
        fleet = await polled(world, slots=24, seconds=lambda job: 60.0 + job.id % 90)
        await fleet.second()
        world.calls.clear()
        for second in range(0, simulated_s, STEP_S):
            for number, repository in enumerate(REPOSITORIES):
                if second % 240 == number * 24:
                    tests = (spec("test a", needs=("build",)), spec("test b", needs=("build",)))
                    start(world, spec("build"), *tests, repository=repository)
            await fleet.second(STEP_S)
        hours = simulated_s / 3600
        per_hour: dict[str, tuple[float, float]] = {}
        for (endpoint, status), number in world.calls.items():
            paid, free = per_hour.get(endpoint, (0.0, 0.0))
            per_hour[endpoint] = (paid, free + number) if status == "304" else (paid + number, free)
        reading = sum(paid / hours for endpoint, (paid, _) in per_hour.items() if endpoint.startswith("GET"))
        worst = max(fleet.seen.values())
        waits = sorted(fleet.seen.values())
        with capsys.disabled():
            print(
                f"\n10 repositories, {len(fleet.seen)} jobs in {simulated_s} s; calls an hour (counted, not modified):"
            )
            for endpoint, (paid, free) in sorted(per_hour.items()):
                print(f"  {paid / hours:6.0f} {free / hours:6.0f}  {endpoint}")
            print(
                f"  reading {reading:.0f} counted an hour of 2,500; queued -> seen: worst {worst:.0f} s, "
                f"median {waits[len(waits) // 2]:.0f} s; period {fleet.periods['acme']:.1f} s"
            )
        assert worst <= 30
        assert reading <= 2500
        assert all(
            job.stage.value == "completed"
            for job in world.github.world.jobs.values()
            if job.made_at.timestamp() < world.clock.now().timestamp() - 600
        )

    play(story, polling(*REPOSITORIES))
