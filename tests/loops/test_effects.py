"""Each row of the table of effects, as the acts obey it: what is tried again, given back, and left alone (R8, R20)."""

from typing import Any

import pytest

from andon.github.effects import EFFECTS, Pauses, Retry
from andon.github.outcomes import Failed, FailureClass
from andon.loops.acts.next_try import next_try
from andon.model.claim_states import ClaimState
from andon.store import pauses
from tests.support.builders import START, at

DATABASES = ("sqlite",)
"""This is about GitHub's answers; the pauses' own tests run on both."""
MINT = "*/actions/runners/generate-jitconfig"
FAULTS: dict[FailureClass, dict[str, Any]] = {
    FailureClass.RETRY_LATER: {"kind": "api_error", "status": 502},
    FailureClass.RATE_LIMITED: {"kind": "api_error", "status": 429, "seconds": 120},
    FailureClass.UNAUTHORISED: {"kind": "api_error", "status": 401},
    FailureClass.FORBIDDEN: {"kind": "api_error", "status": 403},
    FailureClass.GONE: {"kind": "api_error", "status": 404},
    FailureClass.CONFLICT: {"kind": "api_error", "status": 409},
    FailureClass.INVALID: {"kind": "api_error", "status": 422},
    FailureClass.MALFORMED: {"kind": "api_malformed"},
    FailureClass.BUG: {"kind": "api_error", "status": 400},
}

NARROW = {FailureClass.FORBIDDEN, FailureClass.GONE, FailureClass.INVALID, FailureClass.BUG}
"""What concerns one repository in one pool; the others stop everything of the owner (R18, R20)."""


async def reserve(world: Any) -> int:
    (job,) = world.run("build")
    await world.sweep()
    await world.dispatch()
    return job


@pytest.mark.parametrize("kind", list(FailureClass))
def test_minting_obeys_the_row(play: Any, kind: FailureClass) -> None:
    effect = EFFECTS[kind]

    async def story(world: Any) -> None:
        job = await reserve(world)
        world.fault(match={"endpoint": MINT}, count=1, **FAULTS[kind])
        await world.act()
        paused = await world.store.read(pauses.pauses)
        if effect.retry in (Retry.BACKOFF, Retry.AFTER_LOOK):
            assert (await world.the_claim(job)).state is ClaimState.RESERVED
            assert paused == []
            for _ in range(3):
                await world.pass_time(2)
                await world.act()
            claim = await world.the_claim(job)
            assert claim.state is ClaimState.MINTED
            assert world.registrations() == {claim.runner_name}, "what may have happened was looked for"
            return
        assert await world.claim_of(job) is None, "it does not hold the head of the queue"
        (pause,) = paused
        assert (effect.pauses is Pauses.WORK) == (kind in NARROW)
        assert (pause.repository, pause.pool) == (("acme/app", "linux") if kind in NARROW else ("", ""))
        if effect.retry is Retry.AT_UNTIL:
            assert (pause.until - world.clock.now()).total_seconds() == 120

    play(story)


def test_what_does_not_pass_in_three_tries_leaves_the_owner_alone(play: Any) -> None:
    async def story(world: Any) -> None:
        job = await reserve(world)
        world.fault(match={"endpoint": MINT}, count=3, **FAULTS[FailureClass.RETRY_LATER])
        for _ in range(3):
            assert (await world.the_claim(job)).state is ClaimState.RESERVED
            await world.act()
            await world.pass_time(5)
        assert await world.claim_of(job) is None
        (pause,) = await world.store.read(pauses.pauses)
        assert (pause.repository, pause.pool) == ("", "")

    play(story)


@pytest.mark.parametrize("kind", list(FailureClass))
def test_a_question_is_asked_again_unless_the_row_says_never(play: Any, kind: FailureClass) -> None:
    """An unknown run's origin is asked for; meanwhile nothing is concluded."""
    effect = EFFECTS[kind]

    async def story(world: Any) -> None:
        (job,) = world.run("build")
        run_id = next(iter(world.github.world.runs))
        payload = {"repository": "acme/app", "run_id": run_id, "attempt": 1}
        await world.store.write(lambda tx: tx.order("learn_run", key="learn:x", subject=str(run_id), payload=payload))
        endpoint = "GET /repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}"
        world.fault(match={"endpoint": endpoint}, count=1, **FAULTS[kind])
        await world.act()
        asked = {line: times for line, times in world.github.truth()["calls"].items() if "{attempt_number} " in line}
        assert sum(asked.values()) == 1, asked
        await world.pass_time(121)
        await world.act()
        asked = {line: times for line, times in world.github.truth()["calls"].items() if "{attempt_number} " in line}
        assert sum(asked.values()) == (1 if effect.retry is Retry.NEVER else 2), asked
        assert await world.job(job) is None

    play(story)


@pytest.mark.parametrize("named_s", [-60, 0, 0.1])
@pytest.mark.parametrize("kind", list(FailureClass))
def test_no_act_is_tried_again_within_a_second(kind: FailureClass, named_s: float) -> None:
    """Whatever time was named: one that is over already is no time at all."""
    failed = Failed(kind=kind, status=503, message="x", until=at(named_s))
    assert (next_try(failed, 0, START) - START).total_seconds() >= 1
    if named_s <= 0:
        assert (next_try(failed, 4, START) - START).total_seconds() >= 16
