"""Act "retire_runner": removes a registration that no process of ours can use (N3).

By name, and only names with our fleet id are ever ordered; a busy one is left alone (422). Nobody waits
for it: it is tried with growing pauses, and no longer than the registration can be there.
"""

from datetime import timedelta

from andon.github.call import Priority
from andon.github.outcomes import Failed, FailureClass
from andon.github.runner_payloads import RunnerObject
from andon.loops.acts.next_try import next_slow_try
from andon.loops.fleet import Fleet
from andon.loops.rails import admitted
from andon.loops.removal_lookups import RemovalLookups
from andon.model.claim_states import LIVE
from andon.rules.liveness_registrations import absence_counts_from, why_kept
from andon.rules.rails import rail_of
from andon.store import claims, outbox, registrations
from andon.store.outbox import Act
from andon.store.registrations import Place
from andon.store.transaction import Tx

LONGEST = timedelta(hours=6)
"""Between two tries, when a place stays out of reach."""
GIVE_UP_AFTER = timedelta(days=2)
"""GitHub removes a JIT runner by itself when it was away for a day (contract section 3)."""


async def retire_runner(fleet: Fleet, act: Act, lookups: RemovalLookups | None = None) -> None:
    """Performs the act once; its question is shared with the other acts that are given the same `lookups`."""
    scope = fleet.scope(act.payload["owner"], act.payload["repository"])
    # What is only tidied up leaves the last of the quota to mints and rescues.
    priority = Priority.LOOKUP if act.payload.get("only") == "offline" else Priority.ACT
    found = await (lookups or RemovalLookups(fleet)).runner(act, priority)
    failure: Failed | None = None
    result = "not registered"
    if isinstance(found, Failed):
        failure = found
    elif found is None:
        claim = await fleet.store.read(lambda connection: claims.get_claim(connection, act.subject))
        counts = None if claim is None else absence_counts_from(claim, act.created_at)
        if counts is not None and fleet.clock.now() < counts:
            reason = "GitHub does not list it, and may list late what was minted a moment ago"
            await fleet.write(lambda tx: outbox.postpone(tx, act, until=counts, reason=reason))
            return
    elif _is_another(act, found):
        result = "left alone: it is not as it was when its removal was ordered"
    else:
        on = rail_of(act.kind)
        if on is not None and not await admitted(fleet, act, on, still=lambda tx: _may_remove(tx, act, fleet.fleet_id)):
            return
        failure = await fleet.github.delete_runner(scope, found.id, priority=priority)
        result = "removed"
        if failure is not None and failure.kind is FailureClass.INVALID:
            failure, result = None, "left alone: GitHub says that it is busy"
        elif failure is not None and failure.kind is FailureClass.GONE:
            failure, result = None, "gone already"
    if failure is None:
        await fleet.write(lambda tx: outbox.finish(tx, act, result=result))
        fleet.log.info("runner.retired", runner=act.payload["name"], result=result)
        return
    now = fleet.clock.now()
    until = next_slow_try(failure, act.attempts, now, LONGEST)
    message = failure.message
    if until is None or until - act.created_at > GIVE_UP_AFTER:
        await fleet.write(lambda tx: outbox.finish(tx, act, result=message, failed=True))
        fleet.log.warning("runner.not_retired", runner=act.payload["name"], message=message)
        return
    await fleet.write(lambda tx: outbox.postpone(tx, act, until=until, reason=message))


def _is_another(act: Act, found: RunnerObject) -> bool:
    """Whether the removal was ordered of an entry that was seen offline, and this one is not it (R32)."""
    if act.payload.get("only") != "offline":
        return False
    return found.id != act.payload["runner_id"] or found.busy or found.status != "offline"


def _may_remove(tx: Tx, act: Act, fleet_id: str) -> bool:
    """Whether we still lead and nothing stands behind the name now; asked directly before it is removed.

    The act may have waited for days, for its rail or for GitHub: what was ordered because it was left over is
    held against the whole rule once more.
    """
    claim = claims.get_claim(tx.connection, act.subject)
    kept = "its claim is live" if claim is not None and claim.state in LIVE else None
    if kept is None and act.payload.get("only") == "offline":
        kept = _why_not_left_over(tx, act, fleet_id)
    if kept is not None:
        outbox.finish(tx, act, result=f"left alone: {kept}")
    return kept is None


def _why_not_left_over(tx: Tx, act: Act, fleet_id: str) -> str | None:
    wanted = act.payload
    place = Place(owner=wanted["owner"], repository=wanted["repository"])
    for suspect in registrations.suspects(tx.connection, place, f"andon-{fleet_id}-"):
        found = suspect.registration
        if (found.name, found.runner_id) == (wanted["name"], wanted["runner_id"]):
            return why_kept(suspect.leftover, tx.now)
    return "the last list of GitHub does not show it as it was"
