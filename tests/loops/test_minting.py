"""Minting: the config reaches nobody but its agent, lost answers are resolved, failures back off."""

import contextlib
from datetime import timedelta
from typing import Any

from sqlalchemy import select, text

from andon.model.claim_states import ClaimState
from andon.model.config import Owner
from andon.store import pauses
from andon.store.apply_news import apply_job_news
from andon.store.schema import metadata
from tests.support.builders import LABELS, a_config, job_news
from tests.support.running import read, write

MINT = "*/actions/runners/generate-jitconfig"


async def queued(world: Any, *names: str) -> list[int]:
    job_ids = world.run(*(names or ("build",)))
    await world.sweep()
    await world.dispatch()
    return job_ids


def test_a_reserved_claim_becomes_a_registration(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = await queued(world)
        reserved = await world.the_claim(job)
        assert reserved.state is ClaimState.RESERVED
        await world.act()
        minted = await world.the_claim(job)
        assert (minted.state, minted.runner_id is not None) == (ClaimState.MINTED, True)
        assert world.registrations() == {minted.runner_name}

    play(story)


def test_a_lost_answer_is_resolved_by_name_and_minted_again(play: Any) -> None:
    async def story(world: Any) -> None:
        world.fault(kind="api_reply_lost", match={"endpoint": MINT}, count=1)
        (job,) = await queued(world)
        await world.act()
        assert (await world.the_claim(job)).state is ClaimState.RESERVED
        assert len(world.registrations()) == 1, "GitHub has it, we do not"
        await world.pass_time(2)
        await world.act()  # 409: the registration that nobody can use is removed
        await world.pass_time(1)
        await world.act()
        claim = await world.the_claim(job)
        assert claim.state is ClaimState.MINTED
        assert world.registrations() == {claim.runner_name}

    play(story)


def test_a_name_that_is_taken_and_not_listed_makes_no_hot_loop(play: Any) -> None:
    async def story(world: Any) -> None:
        world.fault(kind="api_error", match={"endpoint": MINT}, status=409)
        (job,) = await queued(world)
        for _ in range(100):
            await world.act()
            await world.pass_time(0.2)
        assert (await world.the_claim(job)).state is ClaimState.RESERVED
        mints = sum(times for call, times in world.github.truth()["calls"].items() if "generate-jitconfig" in call)
        assert mints == 5, "at 0, 1, 3, 7 and 15 s"
        acts = "SELECT result FROM outbox WHERE kind = 'mint_runner'"
        said = await world.store.read(lambda connection: connection.exec_driver_sql(acts).scalar_one())
        assert "removed" not in said, "nothing was"

    play(story)


def test_a_mint_failure_leaves_the_head_of_the_queue_and_backs_off_alone(play: Any) -> None:
    config = a_config(
        owner=(Owner(login="acme", repositories=("acme/app",)), Owner(login="other", repositories=("other/app",)))
    )

    async def story(world: Any) -> None:
        world.fault(kind="api_error", match={"endpoint": MINT, "repository": "acme/app"}, status=403)
        (job,) = await queued(world)
        await world.act()
        assert await world.claim_of(job) is None, "released"
        (pause,) = await world.store.read(pauses.pauses)
        assert (pause.repository, pause.pool) == ("acme/app", "linux"), "a 403 concerns one repository and pool"
        assert pause.until > world.clock.now()
        await world.dispatch()
        assert await world.claim_of(job) is None, "not served again before the pause is over"
        await world.pass_time(11)
        await world.dispatch()
        assert await world.claim_of(job) is not None
        await world.act()
        (again,) = await world.store.read(pauses.pauses)
        assert again.failures == 2
        assert again.until - world.clock.now() > timedelta(seconds=9), "twice as long as the first"

    play(story, config)


def test_a_rate_limit_is_obeyed_until_its_own_end(play: Any) -> None:
    async def story(world: Any) -> None:
        world.fault(kind="api_error", match={"endpoint": MINT}, status=429, seconds=120, count=1)
        (job,) = await queued(world)
        await world.act()
        for _ in range(11):
            await world.pass_time(10)
            await world.dispatch()
            await world.act()
            assert await world.claim_of(job) is None
        await world.pass_time(11)
        await world.dispatch()
        await world.act()
        assert (await world.the_claim(job)).state is ClaimState.MINTED
        assert await world.store.read(pauses.pauses) == [], "a success ends the back-off"

    play(story)


def test_a_job_cancelled_before_the_mint_leaves_no_registration(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = await queued(world)
        claim = await world.the_claim(job)
        world.cancel_the_run()
        await world.sweep()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        await world.act()
        assert world.registrations() == set()

    play(story)


def test_a_mint_whose_answer_was_lost_and_whose_job_was_cancelled_leaves_no_registration(play: Any) -> None:
    async def story(world: Any) -> None:
        world.fault(kind="api_reply_lost", match={"endpoint": MINT}, count=1)
        (job,) = await queued(world)
        await world.act()
        assert len(world.registrations()) == 1
        world.cancel_the_run()
        await world.sweep()
        assert await world.claim_of(job) is None
        for _ in range(2):
            await world.pass_time(2)
            await world.act()
        assert world.registrations() == set()

    play(story)


def test_a_reservation_that_nobody_mints_is_given_back_and_its_name_retired(play: Any) -> None:
    async def story(world: Any) -> None:
        world.fault(kind="api_reply_lost", match={"endpoint": MINT}, count=1)
        (job,) = await queued(world)
        await world.act()
        claim = await world.the_claim(job)
        await world.pass_time(31)
        await world.deadlines()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED
        await world.act()
        assert world.registrations() == set(), "the runner whose answer was lost is removed"
        await world.dispatch()
        assert await world.claim_of(job) is None, "a mint that got no answer backs off too (R20)"
        await world.pass_time(6)
        await world.dispatch()
        assert (await world.the_claim(job)).id != claim.id

    play(story)


def test_a_runner_that_github_lists_late_after_a_lost_answer_is_removed_all_the_same(play: Any) -> None:
    """A name that is not listed a moment after its mint is no name that is not there (law 4; contract section 3)."""

    async def story(world: Any) -> None:
        world.fault(kind="api_error", match={"endpoint": MINT}, count=2)
        (job,) = await queued(world)
        claim = await world.the_claim(job)
        for _ in range(2):
            await world.act()
            await world.pass_time(10)
        world.fault(kind="runner_listed_late", seconds=60, count=1)
        world.fault(kind="api_reply_lost", match={"endpoint": MINT}, count=1)
        await world.act()
        assert (await world.claim(claim.id)).state is ClaimState.RELEASED, "the last of its tries"
        assert claim.runner_name in world.registrations()
        await world.act()
        assert claim.runner_name in world.registrations(), "asked for by its name, it is not listed yet"
        await world.pass_time(85)
        await world.act()
        await world.pass_time(35)
        await world.act()
        assert claim.runner_name not in world.registrations()

    play(story)


def test_the_jit_config_stands_nowhere_but_in_its_own_table(play: Any) -> None:
    async def story(world: Any) -> None:
        await queued(world)
        await world.act()

        def dump(connection: Any) -> tuple[str, str]:
            (config,) = connection.execute(text("SELECT config FROM jit_configs")).scalars()
            others = [table for name, table in metadata.tables.items() if name != "jit_configs"]
            return config, "\n".join(str(row) for table in others for row in connection.execute(select(table)))

        config, rest = await world.store.read(dump)
        assert len(config) > 40 and config not in rest

    play(story)


def test_one_broken_repository_pauses_no_other_of_its_owner(play: Any) -> None:
    async def story(world: Any) -> None:
        world.fault(kind="api_error", match={"endpoint": MINT, "repository": "acme/app"}, status=404)
        await queued(world)
        await world.act()
        (healthy,) = world.run("build", repository="acme/other")
        await world.sweep()
        await world.dispatch()
        await world.act()
        assert (await world.the_claim(healthy)).state is ClaimState.MINTED

    config = a_config(owner=(Owner(login="acme", repositories=("acme/app", "acme/other")),))
    play(story, config)


def test_many_failures_at_once_are_one_failure(store: Any) -> None:
    for _ in range(100):
        write(store, lambda tx: pauses.pause(tx, "acme", reason="502"))
    (pause,) = read(store, pauses.pauses)
    assert pause.failures == 1


def test_no_number_of_failures_breaks_the_back_off(store: Any, clock: Any) -> None:
    for _ in range(60):
        write(store, lambda tx: pauses.pause(tx, "acme", reason="401"))
        clock.advance(601)
    (pause,) = read(store, pauses.pauses)
    assert pause.failures == 60
    assert pause.until - clock.now() <= timedelta(minutes=10)


def test_a_shuffle_does_not_lose_the_mint_of_a_reserved_claim(play: Any) -> None:
    async def story(world: Any) -> None:
        (one,) = await queued(world, "a")
        await world.act()
        first = await world.the_claim(one)
        (two,) = await queued(world, "b")
        second = await world.the_claim(two)
        assert second.state is ClaimState.RESERVED
        news = job_news(two, "in_progress", runner_name=first.runner_name, labels=LABELS)
        await world.store.write(lambda tx: apply_job_news(tx, news, world.config))
        assert (await world.claim(second.id)).job_id == one
        await world.act()
        assert (await world.claim(second.id)).state is ClaimState.MINTED

    play(story)


def test_nothing_is_sent_to_an_owner_before_the_limit_it_named_is_over(play: Any) -> None:
    async def story(world: Any) -> None:
        world.fault(kind="api_error", match={"endpoint": "GET */actions/runs"}, status=429, seconds=60, count=1)
        await world.sweep()
        before = sum(world.github.truth()["calls"].values())
        for _ in range(5):
            await world.pass_time(11)
            await world.sweep()
        assert sum(world.github.truth()["calls"].values()) == before
        await world.pass_time(11)
        await world.sweep()
        assert sum(world.github.truth()["calls"].values()) > before

    play(story)


def test_a_database_that_cannot_be_written_makes_no_hot_loop_at_github(play: Any) -> None:
    async def story(world: Any) -> None:
        await queued(world)
        working = world.store.write

        async def broken(work: Any) -> Any:
            raise OSError("disk full")

        world.store.write = broken
        for _ in range(20):
            with contextlib.suppress(AssertionError):
                await world.act()
        world.store.write = working
        minted = [count for call, count in world.github.truth()["calls"].items() if "generate-jitconfig" in call]
        assert sum(minted) == 1

    play(story)
