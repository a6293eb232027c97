"""After a pause of minting one claim tries whether it is over; the others wait for it, and say so (T22, R20)."""

from typing import Any

from andon.model.claim_states import ClaimState
from andon.model.config import Owner
from andon.model.wire import SlotState
from andon.store import job_views, pauses
from tests.support.builders import a_config, idle, slot_of

MINT = "*/actions/runners/generate-jitconfig"


async def claimed(world: Any, job_ids: list[int]) -> list[int]:
    return [job_id for job_id in job_ids if await world.claim_of(job_id) is not None]


async def paused(world: Any, count: int, status: int = 502) -> list[int]:
    """So many jobs wait, the mints of all slots failed, and the pause after them is over."""
    world.fault(kind="api_error", match={"endpoint": MINT}, status=status)
    job_ids = world.run(*(f"job {number}" for number in range(count)))
    await world.report(*(idle(number) for number in range(4)))
    await world.sweep()
    await world.dispatch()
    assert len(await claimed(world, job_ids)) == min(4, count)
    while await claimed(world, job_ids):
        await world.act()
        await world.pass_time(1)
    await over(world)
    return job_ids


async def over(world: Any) -> None:
    """Waits until every pause has run out."""
    for pause in await world.store.read(pauses.pauses):
        await world.pass_time(max(0.0, (pause.until - world.clock.now()).total_seconds()))


def test_one_claim_tries_and_all_follow_when_a_runner_is_given(play: Any) -> None:
    async def story(world: Any) -> None:
        job_ids = await paused(world, 6)
        for _ in range(3):
            await world.dispatch()
            assert len(await claimed(world, job_ids)) == 1, "one, however often dispatch looks"
        world.github.faults.clear()
        await world.act()
        await world.dispatch()
        assert len(await claimed(world, job_ids)) == 4, "as many as there are slots"

    play(story)


def test_a_try_that_fails_pauses_for_longer_and_costs_one_call(play: Any) -> None:
    async def story(world: Any) -> None:
        job_ids = await paused(world, 6)
        for failures in (2, 3):
            before = mints(world)
            await world.dispatch()
            while await claimed(world, job_ids):
                await world.act()
                await world.pass_time(1)
            (pause,) = await world.store.read(pauses.pauses)
            assert (pause.failures, pause.until > world.clock.now()) == (failures, True)
            assert mints(world) - before <= 5, "the tries of one act"
            await over(world)

    def mints(world: Any) -> int:
        return sum(times for call, times in world.github.truth()["calls"].items() if "generate-jitconfig" in call)

    play(story)


def test_a_pause_of_a_repository_holds_up_no_other_and_is_tried_beside_it(play: Any) -> None:
    repositories = ("acme/app", "acme/site")

    async def story(world: Any) -> None:
        world.fault(kind="api_error", match={"endpoint": MINT, "repository": "acme/app"}, status=403)
        here = world.run("one", "two", "three")
        await world.report(*(idle(number) for number in range(4)))
        await world.sweep()
        await world.dispatch()
        await world.act()
        await over(world)
        there = world.run("other", repository="acme/site")
        await world.sweep()
        await world.dispatch()
        assert (len(await claimed(world, here)), await claimed(world, there)) == (1, there)

    play(story, a_config(owner=(Owner(login="acme", repositories=repositories),)))


def test_what_fails_in_one_repository_is_tried_in_another_next_time(play: Any) -> None:
    """Its oldest job fails for the whole owner: it must not be the only one that is ever tried (T17)."""

    async def story(world: Any) -> None:
        world.fault(kind="api_error", match={"endpoint": MINT, "repository": "acme/app"}, status=502)
        world.run("one", "two", repository="acme/app")
        await world.report(idle(0))
        await world.sweep()
        await world.dispatch()
        there = world.run("other", repository="acme/site")
        await world.sweep()
        for _ in range(4):
            await over(world)
            await world.dispatch()
            for _ in range(40):
                await world.act()
                claim = await world.claim_of(there[0])
                if claim is not None and claim.state is ClaimState.MINTED:
                    return
                await world.pass_time(1)
        raise AssertionError("never given a runner")

    play(story, a_config(owner=(Owner(login="acme", repositories=("acme/app", "acme/site")),)))


def test_who_waits_for_the_try_says_so(play: Any) -> None:
    async def story(world: Any) -> None:
        job_ids = await paused(world, 3)
        await world.dispatch()
        (tried,) = await claimed(world, job_ids)
        claim = await world.the_claim(tried)

        def ask(connection: Any, job: Any) -> Any:
            return job_views.explain_job(
                connection, job, job_views.surroundings(connection, world.config, world.clock.now())
            )

        for job_id in job_ids:
            job = await world.job(job_id)
            why = await world.store.read(lambda connection, job=job: ask(connection, job))
            assert why.cause == ("starting" if job_id == tried else "rate_limited")
            assert job_id == tried or why.text.endswith("One is tried now.")
        world.github.faults.clear()
        await world.act()
        await world.report(
            slot_of(claim, SlotState.STARTING), *(idle(number) for number in (0, 1, 2, 3) if number != claim.slot)
        )
        assert await world.store.read(pauses.pauses) == []

    play(story)
