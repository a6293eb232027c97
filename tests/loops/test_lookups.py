"""Claims in doubt are asked about many at a time, in turn, and not at all when there are none (R10, R28)."""

from typing import Any

import pytest

from andon.model.claim_states import ClaimState
from andon.model.job_states import JobStatus
from andon.rules.lookups import TICK_S
from andon.sim.sandbox.run_spec import JobSpec, RunSpec
from tests.support.builders import LABELS, idle

DATABASES = ("sqlite",)
MANY = 24
"""Fewer than the rail of rescue lets through in a minute."""


async def in_doubt(world: Any, *runs: int) -> list[Any]:
    """Runs of so many jobs each; every job is claimed, and no runner comes up in time."""
    await world.report(*(idle(slot) for slot in range(sum(runs))))
    job_ids = [job for number, jobs in enumerate(runs) for job in world.run(*(f"{number}-{at}" for at in range(jobs)))]
    await world.sweep()
    await world.dispatch()
    while len(world.registrations()) < sum(runs):
        await world.act()
    claims = [await world.the_claim(job) for job in job_ids]
    await world.pass_time(200)
    await world.deadlines()
    world.calls.clear()
    return claims


def take_a_job(world: Any, claim: Any) -> int:
    """The claim's runner comes up after all and takes what GitHub offers it; says which job."""
    github = world.github
    runner = next(each for each in github.world.runners.values() if each.name == claim.runner_name)
    session = github.runners.open_session(runner, version="2.336.0", os="Linux")
    github.runners.begin_poll(session)
    job_id = int(runner.assigned.id)
    github.execution.acquire(runner, session.id, job_id)
    return job_id


def asked(world: Any) -> dict[str, int]:
    """Questions sent, by what follows the place in their template."""
    found: dict[str, int] = {}
    for (name, _), number in world.calls.items():
        if not name.startswith("DELETE"):
            end = name.rpartition("/actions")[2]
            found[end] = found.get(end, 0) + number
    return found


async def act_on_all(world: Any, number: int) -> None:
    for _ in range(number // 16 + 1):
        await world.act()


async def states(world: Any, claims: list[Any]) -> set[ClaimState]:
    return {(await world.claim(claim.id)).state for claim in claims}


def test_no_candidates_no_calls(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        await world.dispatch()
        await world.act()
        await world.bind(await world.the_claim(job))
        world.calls.clear()
        for _ in range(20):
            await world.pass_time(30)
            await world.deadlines()
            await world.act()
        assert world.calls == {}

    play(story)


def test_many_claims_of_many_runs_cost_one_query_and_one_list(play: Any) -> None:
    async def story(world: Any) -> None:
        claims = await in_doubt(world, *[1] * MANY)
        await act_on_all(world, MANY)
        assert asked(world) == {"POST /graphql": 1, "/runners": 1}
        assert await states(world, claims) == {ClaimState.RELEASED}

    play(story)


def test_claims_of_one_run_cost_one_list_of_its_jobs(play: Any) -> None:
    async def story(world: Any) -> None:
        claims = await in_doubt(world, MANY)
        await act_on_all(world, MANY)
        assert asked(world) == {"/runs/{id}/attempts/{n}/jobs": 1, "/runners": 1}
        assert await states(world, claims) == {ClaimState.RELEASED}

    play(story)


@pytest.mark.parametrize("trouble", ["unknown ids", "no GraphQL", "another state"])
def test_what_graphql_does_not_settle_is_asked_by_rest(play: Any, trouble: str) -> None:
    async def story(world: Any) -> None:
        claims = await in_doubt(world, 2, 1, 1)
        if trouble == "unknown ids":
            world.fleet.check_runs.__init__()
        elif trouble == "no GraphQL":
            world.fault(kind="api_error", match={"endpoint": "POST /graphql"}, status=502)
        else:
            served = take_a_job(world, claims[0])
        await act_on_all(world, 4)
        questions = asked(world)
        if trouble == "another state":
            assert questions["POST /graphql"] == 1 and 1 <= questions["/jobs/{id}"] + questions.get("/runs", 0) <= 2
            (bound,) = [each for each in claims if (await world.claim(each.id)).state is ClaimState.BUSY]
            assert (await world.claim(bound.id)).job_id == served
            assert bound.runner_name in world.registrations(), "in progress is left alone"
            claims.remove(bound)
            # Its runner took the job of another claim, which stands for its own job now and is asked about anew.
            await world.act()
        else:
            assert (questions["/runs/{id}/attempts/{n}/jobs"], questions["/jobs/{id}"]) == (1, 2)
        assert await states(world, claims) == {ClaimState.RELEASED}

    play(story)


def test_a_list_of_runners_that_fails_leaves_each_to_be_asked_by_name(play: Any) -> None:
    async def story(world: Any) -> None:
        claims = await in_doubt(world, 4)
        world.fault(kind="api_malformed", match={"endpoint": "GET */actions/runners"}, count=1)
        await act_on_all(world, 4)
        assert asked(world)["/runners"] == 1 + 4
        assert await states(world, claims) == {ClaimState.RELEASED}

    play(story)


def test_a_failed_question_is_asked_again_for_all_who_shared_it(play: Any) -> None:
    async def story(world: Any) -> None:
        claims = await in_doubt(world, 4)
        world.fault(kind="api_error", match={"endpoint": "GET */jobs"}, status=502, count=1)
        await act_on_all(world, 4)
        assert await states(world, claims) == {ClaimState.ORPHANED}, "nothing follows from no answer"
        assert len(world.registrations()) == 4
        await world.pass_time(2)
        await act_on_all(world, 4)
        assert await states(world, claims) == {ClaimState.RELEASED}

    play(story)


def test_so_many_are_asked_about_in_one_step_and_all_in_turn(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.loops.lookups.MOST", 4)

    async def story(world: Any) -> None:
        await in_doubt(world, *[1] * 12)
        # Whoever is asked about stays in doubt, and must not come before those who were not.
        world.fault(kind="api_error", match={"endpoint": "GET */actions/runners"}, status=502)
        world.fleet.check_runs.__init__()
        there, looked = world.fleet.github.job, []

        async def job(repository: str, job_id: int, **how: Any) -> Any:
            looked.append(job_id)
            return await there(repository, job_id, **how)

        world.fleet.github.job = job
        seen: set[int] = set()
        for step in range(1, 5):
            await act_on_all(world, 12)
            assert len(looked) <= 4
            seen |= set(looked)
            looked.clear()
            if step == 3:
                assert len(seen) >= 8
            await world.pass_time(TICK_S)
        assert len(seen) == 12

    play(story)


def test_what_was_asked_for_claims_hides_nothing_from_the_sweep(play: Any) -> None:
    """The answer says more than the claims need; the sweep must not be told that it is as it was."""

    async def story(world: Any) -> None:
        await world.report(*(idle(slot) for slot in range(2)))
        gated = JobSpec(name="gated", labels=LABELS, gate=True)
        specs = (JobSpec(name="a", labels=LABELS), JobSpec(name="b", labels=LABELS), gated)
        made = world.github.create_run(RunSpec(repository="acme/app", jobs=specs))["jobs"]
        await world.sweep()
        await world.dispatch()
        await world.act()
        await world.pass_time(200)
        await world.deadlines()
        world.github.runs.release_gate(world.github.world.jobs[made[2]])
        world.fleet.check_runs.__init__()
        world.calls.clear()
        await world.act()
        assert asked(world)["/runs/{id}/attempts/{n}/jobs"] == 1
        assert (await world.job(made[2])).status is JobStatus.WAITING
        await world.pass_time(60)
        await world._sweep.run_once()
        assert (await world.job(made[2])).status is JobStatus.QUEUED

    play(story)
