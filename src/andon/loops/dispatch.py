"""Loop "dispatch": one leader, one snapshot, one batch of claims a transaction (rules.dispatch)."""

from datetime import datetime

from andon.loops.fleet import Fleet
from andon.model.rails import Rail
from andon.store import pauses, rail_gate, slot_rests
from andon.store.dispatch import Round, dispatch_once
from andon.store.transaction import Tx


class Dispatch:
    """One pass claims as many slots as there is work for, a batch at a time."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def run_once(self) -> float | None:
        """One round; asks to be called again at once when the batch was full."""
        if self._fleet.lease() is None:
            return None

        def write(tx: Tx) -> Round:
            modes = rail_gate.modes_of(tx.connection, (Rail.DISPATCH, Rail.GUARD), self._fleet.config.rails.mode)
            return dispatch_once(
                tx,
                self._fleet.policy,
                fleet=self._fleet.fleet_id,
                mode=modes[Rail.DISPATCH],
                # Room is the guard's matter: where it only observes, a job waits for none.
                by_room=modes[Rail.GUARD] == "act",
            )

        done = await self._fleet.write(write)
        for claim in done.claimed:
            self._fleet.count("andon_claims_total", outcome="reserved")
            self._fleet.count("andon_automatic_acts_total", rail="dispatch", mode="act")
            self._fleet.log.info(
                "claim.reserved", claim=claim.id, job=claim.job_id, host=claim.host, slot=claim.slot, pool=claim.pool
            )
        return 0.0 if done.more else await self._next_end(done.left_until)

    async def _next_end(self, left_until: datetime | None) -> float | None:
        """Seconds until a slot has rested, a pause is over, or a job is left to an adopted runner no longer: nobody
        else would wake us for it."""
        now = self._fleet.clock.now()
        ends = await self._fleet.store.read(
            lambda connection: (slot_rests.next_end(connection, now), pauses.next_end(connection, now))
        )
        first = min((end for end in (*ends, left_until) if end is not None), default=None)
        return None if first is None else max(0.05, (first - now).total_seconds())
