"""Which waiting jobs dispatch claims: origins, caps, and observe mode."""

from typing import Any

from andon.model.config import Owner, Rails
from andon.store import journal
from andon.store.apply_news import apply_job_news
from tests.support.builders import LABELS, a_config, a_pool, job_news


def test_observe_mode_claims_nothing_and_says_once_what_it_would_do(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        for _ in range(3):
            await world.dispatch()
            await world.act()
        assert await world.claim_of(job) is None
        assert world.registrations() == set()
        lines = await world.store.read(lambda connection: journal.story_of_job(connection, job))
        would = [line.entry for line in lines if line.entry.kind == "claim.would_reserve"]
        assert [entry.mode for entry in would] == ["observe"]

    config = a_config(owner=(Owner(login="acme", repositories=("acme/app",)),), rails=Rails(mode="observe"))
    play(story, config)


def test_a_fork_waits_until_its_origin_is_known_and_is_then_refused(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build", fork=True)
        await world.sweep()
        await world.dispatch()
        await world.act()
        await world.dispatch()
        assert await world.claim_of(job) is None

    config = a_config(pool=(a_pool(trust="no-forks"),), owner=(Owner(login="acme", repositories=("acme/app",)),))
    play(story, config)


def test_a_job_whose_run_no_webhook_told_is_learnt_and_then_claimed(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        (run,) = world.github.world.runs
        await world.store.write(lambda tx: apply_job_news(tx, job_news(job, run_id=run, labels=LABELS), world.config))
        await world.dispatch()
        assert await world.claim_of(job) is None
        await world.act()
        await world.dispatch()
        assert await world.claim_of(job) is not None

    config = a_config(pool=(a_pool(trust="no-forks"),), owner=(Owner(login="acme", repositories=("acme/app",)),))
    play(story, config)


def test_enough_old_forks_never_hide_a_job_that_can_be_placed(play: Any) -> None:
    async def story(world: Any) -> None:
        world.run(*(f"fork {number}" for number in range(6)), fork=True)
        (trusted,) = world.run("trusted")
        await world.sweep()
        await world.dispatch()
        assert await world.claim_of(trusted) is not None

    play(story, a_config(pool=(a_pool(trust="no-forks"),), owner=(Owner(login="acme", repositories=("acme/app",)),)))


def test_a_cap_holds_whatever_the_case_of_its_name(play: Any) -> None:
    async def story(world: Any) -> None:
        # As a webhook tells it: in GitHub's spelling, which is not the configuration's.
        job_ids = [1, 2]
        for number in job_ids:
            news = job_news(number, repository="acme/app", labels=LABELS)
            await world.store.write(lambda tx, news=news: apply_job_news(tx, news, world.config))
        await world.dispatch()
        claimed = [job for job in job_ids if await world.claim_of(job) is not None]
        assert len(claimed) == 1
        job = await world.job(job_ids[0])
        assert (job.owner, job.repository) == ("Acme", "Acme/App")

    play(story, a_config(owner=(Owner(login="Acme", max_slots=1, repositories=("Acme/App",)),)))
