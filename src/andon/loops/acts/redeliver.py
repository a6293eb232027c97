"""Act "redeliver": asks GitHub to send one delivery again (R5, contract section 2).

Once for each GUID: a request whose answer was lost is looked for in the log before it is made again.
"""

from datetime import datetime, timedelta

from andon.github.effects import EFFECTS
from andon.github.hook_payloads import HookLog
from andon.github.outcomes import Failed, FailureClass
from andon.github.scope import Scope
from andon.loops.acts.next_try import next_slow_try
from andon.loops.fleet import Fleet
from andon.loops.rails import admitted
from andon.rules.rails import rail_of
from andon.rules.redelivery import SLACK
from andon.store import outbox, redeliveries
from andon.store.outbox import Act

LONGEST = timedelta(hours=1)
"""Between two tries, when the log stays out of reach."""
GIVE_UP_AFTER = timedelta(days=8)
"""GitHub keeps a delivery for 3 days, an Enterprise Server for 7 (contract section 2)."""
ARRIVES = timedelta(minutes=1)
"""A request that GitHub took stands in the log after so long."""
PAGES = 20
"""Most pages of the log that are looked through for a request; no more failed tries come that fast."""


async def redeliver(fleet: Fleet, act: Act) -> None:
    """Performs the act once."""
    log = _log_of(act)
    if act.attempts:
        seen = await _is_in_the_log(fleet, log, act)
        if isinstance(seen, Failed):
            await _try_again(fleet, act, seen)
            return
        if seen:
            await fleet.write(lambda tx: redeliveries.asked(tx, act, "GitHub took the request; its answer was lost"))
            return
    on = rail_of(act.kind)
    if on is not None and not await admitted(fleet, act, on, still=lambda tx: redeliveries.still_missing(tx, act)):
        return
    # Should we break off here, the next try finds that this one was begun, and looks first.
    until = fleet.clock.now() + ARRIVES
    await fleet.write(lambda tx: outbox.postpone(tx, act, until=until, reason="asked; the answer is not known"))
    failure = await fleet.github.redeliver(log, act.payload["delivery"])
    if failure is not None:
        await _try_again(fleet, act, failure)
        return
    await fleet.write(lambda tx: redeliveries.asked(tx, act, "GitHub was asked to send it again"))
    fleet.count(
        "andon_deliveries_total", event=act.payload["event"], outcome="requested", reason="no_success_at_github"
    )
    fleet.log.info("delivery.requested", guid=act.subject, delivery_event=act.payload["event"])


def _log_of(act: Act) -> HookLog:
    owner, hook = act.payload["owner"], act.payload["hook"]
    scope = Scope(owner=owner, repository=act.payload["repository"]) if owner is not None else None
    return HookLog(scope=scope, hook_id=hook)


async def _is_in_the_log(fleet: Fleet, log: HookLog, act: Act) -> bool | Failed:
    """Whether GitHub sent it again since the act was ordered."""
    since, cursor = act.created_at - SLACK, None
    for _ in range(PAGES):
        page = await fleet.github.deliveries(log, cursor=cursor)
        if isinstance(page, Failed):
            return page
        for one in page.items:
            if one.guid == act.subject and one.redelivery and one.delivered_at >= since:
                return True
        cursor = page.next
        if cursor is None or page.items[-1].delivered_at < since:
            return False
    # Too much has come since to look it all through: rather not at all than twice.
    return True


async def _try_again(fleet: Fleet, act: Act, failure: Failed) -> None:
    now = fleet.clock.now()
    until = _next(act, failure, now)
    if until is None:
        await fleet.write(lambda tx: redeliveries.given_up(tx, act, f"it cannot be asked for: {failure.message}"))
        fleet.log.warning("delivery.not_requested", guid=act.subject, message=failure.message)
        return
    await fleet.write(lambda tx: outbox.postpone(tx, act, until=until, reason=failure.message))


def _next(act: Act, failure: Failed, now: datetime) -> datetime | None:
    """None: never. GitHub keeps a delivery for days and no longer, so a 404 says that it is gone."""
    if failure.kind is FailureClass.GONE:
        return None
    until = next_slow_try(failure, act.attempts, now, LONGEST)
    if until is None or until - act.created_at > GIVE_UP_AFTER:
        return None
    return max(until, now + ARRIVES) if EFFECTS[failure.kind].may_have_happened else until
