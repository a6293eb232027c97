"""Acts "learn_job" and "learn_run": ask GitHub, and make the same news as a webhook would."""

from andon.github.client import Answered
from andon.github.effects import EFFECTS, Retry
from andon.github.outcomes import Failed
from andon.github.parsing import job_news, run_news
from andon.loops.acts.next_try import next_try
from andon.loops.fleet import Fleet
from andon.model.news import Ignored
from andon.store import outbox
from andon.store.apply_news import apply_job_news, apply_run_news
from andon.store.outbox import Act
from andon.store.transaction import Tx

GIVE_UP_AFTER = 8
"""Tries before an unanswered question is dropped; the sweep asks the same on its own."""


async def learn_job(fleet: Fleet, act: Act) -> None:
    """Asks for one job."""
    got = await fleet.github.job(act.payload["repository"], act.payload["job_id"])
    await _learn(fleet, act, got)


async def learn_run(fleet: Fleet, act: Act) -> None:
    """Asks for one attempt of a run: its event and where its head comes from."""
    payload = act.payload
    got = await fleet.github.run(payload["repository"], payload["run_id"], payload["attempt"])
    await _learn(fleet, act, got)


async def _learn(fleet: Fleet, act: Act, got: Answered | Failed) -> None:
    if isinstance(got, Answered):
        await fleet.write(lambda tx: keep_answer(tx, fleet, act.payload["repository"], got, act, act.kind))
    elif EFFECTS[got.kind].retry is Retry.NEVER or act.attempts + 1 >= GIVE_UP_AFTER:
        await fleet.write(lambda tx: outbox.finish(tx, act, result=got.message, failed=True))
    else:
        until = next_try(got, act.attempts, fleet.clock.now())
        await fleet.write(lambda tx: outbox.postpone(tx, act, until=until, reason=got.message))


def keep_answer(tx: Tx, fleet: Fleet, repository: str, got: Answered, act: Act | None, why: str) -> None:
    """Applies an answer's jobs and runs as news."""
    for run in got.runs:
        apply_run_news(tx, run_news(run, repository, f"api:{why}"), fleet.config)
    for job in got.jobs:
        news = job_news(job, repository, at=got.at, source=f"api:{why}")
        if not isinstance(news, Ignored):
            fleet.check_runs.learn(news.id, news.node_id)
            apply_job_news(tx, news, fleet.config)
    if act is not None:
        outbox.finish(tx, act, result="learnt")
