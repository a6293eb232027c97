"""Loop "deliveries": stored webhooks become news, and news becomes state; once per GUID.

A delivery that fails by our own fault is tried a few times and then put aside as failed, so that
one bad body never holds up the others; a redelivery revives it.
"""

from collections.abc import Callable

from andon.github.parsing import parse_delivery
from andon.loops.fleet import Fleet
from andon.model.journal import Entry
from andon.model.news import Ignored, JobNews, RunNews
from andon.store import deliveries
from andon.store.apply_news import apply_job_news, apply_run_news
from andon.store.database import Closed, Unavailable
from andon.store.deliveries import Delivery
from andon.store.leases import Fenced
from andon.store.transaction import Tx

BATCH = 100
TOGETHER = 5
"""Deliveries in one transaction: a commit costs more than what it commits, and who waits for the
writer, waits for all of them."""
GIVE_WAY_S = 0.05
"""Pause before each five while more come in than can be stored at once: GitHub waits for its answer
and sends no second time, so a burst is acknowledged first; 100 a second are applied meanwhile."""

News = JobNews | RunNews | Ignored


class ApplyDeliveries:
    """One pass applies what waits, oldest first."""

    def __init__(self, fleet: Fleet, *, burst: Callable[[], bool] = lambda: False) -> None:
        """`burst` says whether deliveries queue up for the store now."""
        self._fleet = fleet
        self._burst = burst

    async def run_once(self) -> float | None:
        """Applies one batch; asks to be called again at once while more wait."""
        if self._fleet.lease() is None:
            return None
        waiting = await self._fleet.store.read(lambda connection: deliveries.to_apply(connection, BATCH))
        for first in range(0, len(waiting), TOGETHER):
            if self._burst():
                await self._fleet.clock.sleep(GIVE_WAY_S)
            await self._apply_together(waiting[first : first + TOGETHER])
        return 0.0 if len(waiting) == BATCH else None

    async def _apply_together(self, waiting: list[Delivery]) -> None:
        try:
            told = [(each, parse_delivery(each.event, each.guid, each.body)) for each in waiting]
            outcomes = await self._fleet.write(lambda tx: [self._write_once(tx, each, news) for each, news in told])
        except Exception:
            # One of them, or the database: each alone shows whose fault it is.
            for each in waiting:
                await self._apply(each)
        else:
            for each, outcome in zip(waiting, outcomes, strict=True):
                self._count(each, outcome)

    async def _apply(self, delivery: Delivery) -> None:
        try:
            news = parse_delivery(delivery.event, delivery.guid, delivery.body)
            outcome = await self._fleet.write(lambda tx: self._write_once(tx, delivery, news))
        except (Unavailable, Fenced, Closed):
            # No fault of the delivery; it waits until the database, or the next leader, is there.
            raise
        except Exception as error:
            # The reason text lets the ledger tell "we failed" from "not ours" (R6).
            reason = f"{type(error).__name__}: {error}"
            put_aside = await self._fleet.write(lambda tx: deliveries.count_failure(tx, delivery, reason[:500]))
            self._fleet.log.exception("delivery.failed", guid=delivery.guid, put_aside=put_aside)
            outcome = ("failed", "our_fault") if put_aside else None
        self._count(delivery, outcome)

    def _count(self, delivery: Delivery, outcome: tuple[str, str] | None) -> None:
        if outcome is not None:
            state, reason = outcome
            self._fleet.count("andon_deliveries_total", event=delivery.event, outcome=state, reason=reason)

    def _write_once(self, tx: Tx, delivery: Delivery, news: News) -> tuple[str, str] | None:
        # A leader that was replaced while it slept may come with what its successor has applied.
        return self._write(tx, delivery, news) if deliveries.waits(tx.connection, delivery) else None

    def _write(self, tx: Tx, delivery: Delivery, news: News) -> tuple[str, str]:
        if isinstance(news, JobNews):
            self._fleet.check_runs.learn(news.id, news.node_id)
            applied = apply_job_news(tx, news, self._fleet.config)
            if not isinstance(applied, Ignored):
                reason = "changed" if applied.changed else "nothing_new"
                deliveries.finish(tx, delivery, state="applied", reason=reason)
                return "applied", reason
            news = applied
        if isinstance(news, Ignored):
            deliveries.finish(tx, delivery, state="ignored", reason=news.reason)
            tx.record(
                Entry(
                    actor="github",
                    kind="delivery.ignored",
                    subject_kind="delivery",
                    subject_id=delivery.guid,
                    reason=news.reason,
                    evidence={"event": delivery.event, "detail": news.detail[:300]},
                )
            )
            return "ignored", news.reason
        apply_run_news(tx, news, self._fleet.config)
        deliveries.finish(tx, delivery, state="applied", reason="changed")
        return "applied", "changed"
