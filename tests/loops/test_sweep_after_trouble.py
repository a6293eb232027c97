"""Trouble while one run is read or written down: its news comes later, the others' in time (R8)."""

from collections.abc import Callable
from typing import Any

import pytest

from andon.github.outcomes import Failed, FailureClass
from andon.loops.sweep import Sweep
from andon.model.job_states import JobStatus
from tests.loops.test_polling import POLL_S, polling


class _Wire:
    """GitHub, but the jobs of one run are answered by `instead`."""

    def __init__(self, real: Any, run: int, instead: Callable[[], Any]) -> None:
        self._real, self._run, self._instead = real, run, instead

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def jobs_of_run(self, repository: str, run: int, attempt: int) -> Any:
        return self._instead() if run == self._run else await self._real.jobs_of_run(repository, run, attempt)


def _failed(kind: FailureClass, status: int | None = None) -> Callable[[], Failed]:
    return lambda: Failed(kind=kind, status=status, message="not this run")


def _broken() -> Any:
    raise ValueError("an answer that nobody expected")


BAD: dict[str, Callable[[], Any]] = {
    "malformed": _failed(FailureClass.MALFORMED),
    "gone": _failed(FailureClass.GONE, 404),
    "one 5xx": _failed(FailureClass.RETRY_LATER, 502),
    "an exception": _broken,
}


@pytest.mark.parametrize("instead", BAD.values(), ids=list(BAD))
def test_a_run_that_cannot_be_read_hides_none_of_the_others(play: Any, instead: Callable[[], Any]) -> None:
    async def story(world: Any) -> None:
        (old,) = world.run("old")
        world.clock.advance(1)
        (bad,) = world.run("bad")
        real = world.fleet.github
        world.fleet.github = _Wire(real, world.github.world.jobs[bad].run.id, instead)
        sweep = Sweep(world.fleet)
        await sweep.run_once()
        assert await world.job(bad) is None
        assert (await world.job(old)).status is JobStatus.QUEUED
        failed = [labels for name, labels in world.counted if name == "andon_sweeps_failed_total"]
        assert len(failed) == 1, "the trouble is said"
        world.fleet.github = real
        await world.pass_time(POLL_S)
        await sweep.run_once()
        assert (await world.job(bad)).status is JobStatus.QUEUED, "and the run is read as soon as it can be"
        world.log.faults.clear()

    play(story, polling())


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        (FailureClass.UNAUTHORISED, 1),
        (FailureClass.RATE_LIMITED, 1),
        (FailureClass.FORBIDDEN, 1),
        (FailureClass.RETRY_LATER, 2),
    ],
)
def test_what_would_fail_for_every_run_is_not_asked_for_each(play: Any, kind: FailureClass, asked: int) -> None:
    async def story(world: Any) -> None:
        for _ in range(5):
            world.run("build")
        runs: list[int] = []

        async def jobs_of_run(repository: str, run: int, attempt: int) -> Any:
            runs.append(run)
            return Failed(kind=kind, status=None, message="nobody")

        world.fleet.github.jobs_of_run = jobs_of_run
        await Sweep(world.fleet).run_once()
        assert len(runs) == asked

    play(story, polling())


def test_an_answer_that_was_lost_on_its_way_to_the_database_is_written_later(play: Any) -> None:
    async def story(world: Any) -> None:
        one, two = world.run("one", "two")
        sweep = Sweep(world.fleet)
        await sweep.run_once()
        assert (await world.job(two)).status is JobStatus.QUEUED
        await world.pass_time(POLL_S)
        # A job of an open run ends: the run's answer changes once, and then is the same again.
        job = world.github.world.jobs[two]
        world.github.binder._leave_queue(job)
        world.github.runs._life.complete(job, "cancelled")
        working = world.fleet.write

        async def away(work: Any) -> Any:
            raise OSError("the database is away for one pass")

        world.fleet.write = away
        await sweep.run_once()
        world.fleet.write = working
        assert world.log.faults == ["sweep.broke"]
        world.log.faults.clear()
        await world.pass_time(POLL_S)
        await sweep.run_once()
        assert (await world.job(two)).status is JobStatus.COMPLETED
        assert (await world.job(one)).status is JobStatus.QUEUED

    play(story, polling())
