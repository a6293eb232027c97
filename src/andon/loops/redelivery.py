"""Loop "redelivery": asks GitHub to send again what never arrived, once for each GUID (R5, T5, T6).

It reads the delivery logs of our own webhooks, and goes on through everything that GitHub still lists,
however long it was away. What it orders is performed by `acts.redeliver`, on the rail "redelivery".
"""

from collections.abc import Collection

from andon.github.hook_payloads import HookLog
from andon.github.outcomes import Failed, FailureClass
from andon.loops.delivery_log import DeliveryLog, Whole
from andon.loops.fleet import Fleet
from andon.loops.own_hooks import OwnHooks
from andon.rules.doctor_hook import SentTry
from andon.rules.redelivery import AT_ONCE, how_many, is_open, lost, period_s, retry_pause_s, trial_pause_s
from andon.store import redeliveries
from andon.store.redeliveries import Order

GOES_ON_S = 60.0
"""Until a log that is longer than one pass reads is read on, and until the next batch is ordered."""


class Redelivery:
    """One pass looks at every log, when that is due."""

    def __init__(self, fleet: Fleet, address: str) -> None:
        self._fleet = fleet
        self._hooks = OwnHooks(fleet, address)
        self._logs: dict[HookLog, DeliveryLog] = {}

    async def run_once(self) -> float | None:
        """Looks at the logs; gives the seconds until they are looked at again."""
        if self._fleet.config.github.ingest == "poll":
            return None
        if self._fleet.lease() is None:
            # Whoever leads next begins anew; what was remembered here would be old by then.
            self._logs = {}
            return None
        found = await self._hooks.logs()
        self._logs = {log: self._logs.get(log) or DeliveryLog(self._fleet.github, log) for log in found}
        clock, normal = self._fleet.clock, period_s(len(found))
        for log in self._logs.values():
            if clock.monotonic() >= log.due:
                pause = await self._look(log)
                log.due = clock.monotonic() + (normal if pause is None else pause)
        due = min((log.due for log in self._logs.values()), default=clock.monotonic() + normal)
        return max(0.0, due - clock.monotonic())

    async def _look(self, log: DeliveryLog) -> float | None:
        """Reads one log on, and orders what is missing; gives the seconds to its next look, None: as usual."""
        if log.waiting and not await self._room():
            # What was found has to wait anyway: the log is not read for that.
            return GOES_ON_S
        got = await log.read(self._fleet.clock.now(), self._unknown)
        log.failed = log.failed + 1 if isinstance(got, Failed) else 0
        if got is None:
            return GOES_ON_S
        if isinstance(got, Failed):
            self._fleet.log.warning(
                "deliveries.not_listed", where=log.name, failure=got.kind.value, message=got.message
            )
            return retry_pause_s(log.failed) if got.kind is FailureClass.RETRY_LATER else None
        await self._sort(log, got)
        if not log.waiting:
            log.trials = 0
            return None
        return await self._order(log, open_=is_open(got.tries))

    async def _unknown(self, guids: Collection[str]) -> set[str]:
        known = await self._fleet.store.read(lambda connection: redeliveries.accounted_for(connection, guids))
        return set(guids) - known

    async def _sort(self, log: DeliveryLog, got: Whole) -> None:
        """Adds what is lost to what waits, and takes away what has arrived, here or elsewhere."""
        guids = {*log.waiting, *(one.guid for one in got.tries)}
        ours = await self._fleet.store.read(lambda connection: redeliveries.states(connection, guids))
        found = {one.guid: one for one in lost(got.tries, ours, self._fleet.clock.now())}
        arrived = {one.guid for one in got.tries if 200 <= one.code < 300}
        wanted = await self._unknown((log.waiting.keys() - arrived) | found.keys())
        both = [one for guid, one in (log.waiting | found).items() if guid in wanted]
        log.waiting = {one.guid: one for one in sorted(both, key=lambda one: (one.at, one.guid))}

    async def _room(self) -> int:
        """How many more requests may be ordered."""
        return max(0, AT_ONCE - await self._fleet.store.read(redeliveries.waiting))

    async def _order(self, log: DeliveryLog, *, open_: bool) -> float | None:
        room = await self._room()
        now = list(log.waiting.values())[: how_many(open_=open_, room=room)]
        orders = [Order(sent=one, payload=_payload(log.log, one)) for one in now]
        ordered = await self._fleet.write(lambda tx: redeliveries.order(tx, orders))
        for one in now:
            del log.waiting[one.guid]
        if ordered:
            self._fleet.log.info(
                "deliveries.lost", where=log.name, ordered=ordered, left=len(log.waiting), trial=not open_
            )
        if not open_:
            log.trials += 1
            return trial_pause_s(log.trials)
        log.trials = 0
        return GOES_ON_S if log.waiting else None


def _payload(log: HookLog, one: SentTry) -> dict[str, object]:
    scope = log.scope
    return {
        "owner": scope.owner if scope is not None else None,
        "repository": scope.repository if scope is not None else None,
        "hook": log.hook_id,
        "delivery": one.id,
        "event": one.event,
        "sent_at": one.at.isoformat(),
        "answered": one.code,
    }
