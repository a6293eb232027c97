"""What the sweep spends of the quota, beside what it has to find: lists that cannot have changed cost nothing (R4)."""

from typing import Any

import pytest

from andon.loops.repository_sweep import EVERYWHERE_S, LATER, NEWEST
from andon.model.job_states import JobStatus
from andon.sim.sandbox.run_spec import JobSpec, RunSpec
from andon.store.apply_news import apply_job_news
from tests.support.builders import LABELS, job_news


def start(world: Any, **changes: Any) -> Any:
    """A run with one job that waits."""
    spec = RunSpec(repository="acme/app", jobs=(JobSpec(name="build", labels=LABELS, **changes),))
    return world.github.world.runs[world.github.create_run(spec)["run_id"]]


def paid(world: Any, end: str) -> int:
    """Calls that GitHub has counted, of the endpoints whose template ends so."""
    asked = {(name, status): n for (name, status), n in world.calls.items() if name.endswith(end)}
    return sum(number for (_, status), number in asked.items() if status != "304")


def lists_of(world: Any, asked: list[str | None]) -> None:
    """Notes by which statuses runs are listed from now on."""
    there = world.fleet.github.runs

    async def runs(repository: str, status: str | None = None, **how: Any) -> Any:
        asked.append(status)
        return await there(repository, status, **how)

    world.fleet.github.runs = runs


async def passes(world: Any, number: int) -> None:
    """So many passes, each of which reads the lists by status; before each a run begins and one ends."""
    going = start(world)
    for _ in range(number):
        world.github.runs.cancel(going)
        going = start(world)
        await world.pass_time(EVERYWHERE_S)
        await world._sweep.run_once()


def test_lists_of_older_runs_are_free_while_newer_ones_come_and_go(play: Any) -> None:
    async def story(world: Any) -> None:
        for _ in range(NEWEST + 10):
            world.github.runs.cancel(start(world))
        await passes(world, 2)
        world.calls.clear()
        await passes(world, 20)
        assert paid(world, "/actions/runs") <= 20 + 2, "the newest ones in each pass, and hardly anything else"

    play(story)


def test_a_page_that_shows_all_runs_needs_no_lists_beside_it(play: Any) -> None:
    async def story(world: Any) -> None:
        start(world)
        asked: list[str | None] = []
        lists_of(world, asked)
        await passes(world, 3)
        assert asked == []

    play(story)


def test_runs_that_wait_are_listed_when_one_of_ours_may_be_among_them(play: Any) -> None:
    async def story(world: Any) -> None:
        waits = start(world, gate=True)
        for _ in range(NEWEST + 10):
            world.github.runs.cancel(start(world))
        asked: list[str | None] = []
        lists_of(world, asked)
        await world.sweep()
        (job,) = waits.latest.jobs
        assert (await world.job(job.id)).status is JobStatus.WAITING
        await passes(world, 3)
        world.calls.clear(), asked.clear()
        await passes(world, 3)
        assert asked.count("waiting") == 3
        assert paid(world, "/actions/runs/{id}/attempts/{n}") == 0, "a listed run is not asked about by itself"
        world.github.runs.cancel(waits)
        await passes(world, 2)
        asked.clear()
        await passes(world, 3)
        assert not set(asked) & set(LATER), "nothing of ours waits: nobody looks for it"

    play(story)


@pytest.mark.parametrize("newer", [0, 1, NEWEST - 1, NEWEST, NEWEST + 1, 3 * NEWEST])
def test_a_run_again_is_found_however_many_newer_ones_there_are(play: Any, newer: int) -> None:
    async def story(world: Any) -> None:
        old = start(world)
        world.github.runs.cancel(old)
        for _ in range(newer):
            world.github.runs.cancel(start(world))
        await passes(world, 2)
        (job,) = world.github.runs.rerun(old).jobs
        await passes(world, 1)
        assert (await world.job(job.id)).status is JobStatus.QUEUED

    play(story)


def test_a_run_again_is_found_that_was_new_when_lists_of_older_ones_were_read_first(play: Any) -> None:
    async def story(world: Any) -> None:
        for _ in range(NEWEST + 10):
            world.github.runs.cancel(start(world))
        await passes(world, 2)
        middle = start(world)
        world.github.runs.cancel(middle)
        await world.pass_time(1)
        for _ in range(2 * NEWEST):
            world.github.runs.cancel(start(world))
        await passes(world, 2)
        (job,) = world.github.runs.rerun(middle).jobs
        await passes(world, 1)
        assert (await world.job(job.id)).status is JobStatus.QUEUED

    play(story)


def test_a_run_that_webhooks_tell_of_is_read_once_its_jobs_have_runners(play: Any) -> None:
    async def story(world: Any) -> None:
        await passes(world, 1)
        await world.pass_time(60)
        await world._sweep.run_once()
        await world.pass_time(30)
        told, untold = world.run("told", "untold")
        run = world.github.world.jobs[told].run
        news = job_news(told, "queued", run_id=run.id)
        await world.store.write(lambda tx: apply_job_news(tx, news, world.config))
        await world.pass_time(31)
        world.calls.clear()
        await world._sweep.run_once()
        assert sum(world.calls.values()) > 0 and paid(world, "/jobs") == 0, "left to the next pass"
        await world.pass_time(60)
        await world._sweep.run_once()
        assert (await world.job(untold)).status is JobStatus.QUEUED, "what no webhook told is seen in time"

    play(story)


@pytest.mark.parametrize("why", ["nobody told of it", "passes are far apart"])
def test_a_young_run_is_read_at_once_where_it_would_be_late(play: Any, why: str) -> None:
    async def story(world: Any) -> None:
        await passes(world, 1)
        await world.pass_time(60 if why == "nobody told of it" else 300)
        told, untold = world.run("told", "untold")
        run = world.github.world.jobs[told].run
        if why != "nobody told of it":
            news = job_news(told, "queued", run_id=run.id)
            await world.store.write(lambda tx: apply_job_news(tx, news, world.config))
        await world._sweep.run_once()
        assert (await world.job(untold)).status is JobStatus.QUEUED

    play(story)
