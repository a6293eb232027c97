"""What no webhook told is found by the sweep, and a failed read is never "nothing there"."""

from typing import Any

from andon.model.claim_states import ClaimState
from andon.model.config import Owner
from andon.model.job_states import JobStatus
from tests.support.builders import a_config, idle, the_end
from tests.support.minted_runners import connect, minted, take


def test_a_shuffle_that_no_webhook_told_is_found_by_one_sweep(play: Any) -> None:
    async def story(world: Any) -> None:
        one, two = await minted(world, "a", "b")
        # Whatever chance has decided before, it decides for the other job now.
        world.github.world.chance.seed(3)
        taken = take(world, connect(world, one))
        assert taken == two.job_id, "with this seed GitHub shuffles: else the test shows nothing"
        await world.sweep()
        served = await world.claim(one.id)
        assert (served.job_id, served.state) == (two.job_id, ClaimState.BUSY)
        assert (await world.claim(two.id)).job_id == one.job_id

    play(story)


def test_a_lost_completed_is_found_by_the_sweep(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        runner = connect(world, claim)
        take(world, runner)
        await world.sweep()
        world.github.execution.complete(runner, claim.job_id, "success")
        await world.sweep()
        job = await world.job(claim.job_id)
        assert (job.status, job.conclusion) == (JobStatus.COMPLETED, "success")
        assert (await world.claim(claim.id)).state is ClaimState.BUSY, "until the process is gone"
        await world.report(idle(0), idle(1), ended=(the_end(claim),))
        assert (await world.claim(claim.id)).state is ClaimState.SETTLED

    play(story)


def test_a_failed_read_is_never_nothing_there(play: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world)
        world.fault(kind="api_error", match={"endpoint": "GET *"}, status=502)
        await world.sweep()
        job = await world.job(claim.job_id)
        assert job.status is JobStatus.QUEUED
        assert (await world.claim(claim.id)).state is ClaimState.MINTED
        assert ("andon_sweeps_failed_total", {"failure": "retry_later"}) in world.counted

    play(story)


def test_demand_of_a_run_that_github_lost_ends(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        world.github.runs.list = lambda *args, **kwargs: []
        world.fault(kind="api_error", match={"endpoint": "GET */actions/runs/*"}, status=404)
        for expected in (JobStatus.QUEUED, JobStatus.QUEUED, JobStatus.COMPLETED):
            await world.sweep()
            assert (await world.job(job)).status is expected

    play(story)


def test_one_repositorys_trouble_does_not_hide_the_others_news(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build", repository="acme/other")
        asking = world.fleet.github.newest_runs

        async def broken(repository: str, count: int) -> Any:
            if repository == "acme/app":
                raise RuntimeError("a bug of ours")
            return await asking(repository, count)

        world.fleet.github.newest_runs = broken
        await world.sweep()
        assert (await world.job(job)).status is JobStatus.QUEUED
        assert world.log.faults == ["sweep.broke"]

    play(story, a_config(owner=(Owner(login="acme", repositories=("acme/app", "acme/other")),)))
