"""Who takes the lead knows what the leader before knew, and only then acts."""

import asyncio
from datetime import timedelta

from andon.loops.leadership import LEADER, Leadership
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock
from andon.store import leases
from andon.store.transaction import Store


def test_what_must_be_known_is_read_before_anybody_acts_and_all_are_woken_after(
    store: Store, clock: VirtualClock
) -> None:
    told: list[tuple[str, bool]] = []

    async def main() -> None:
        async def before() -> None:
            told.append(("before", leadership.lease() is not None))

        leadership = Leadership(
            store,
            clock,
            logger("test"),
            holder="me",
            alone=False,
            before_leading=before,
            leads_now=lambda: told.append(("now", leadership.lease() is not None)),
        )
        await leadership.run_once()
        await leadership.run_once()
        assert told == [("before", False), ("now", True)], "once, not at each renewal"
        clock.advance(20)
        lasts = timedelta(seconds=15)
        await store.write(lambda tx: leases.take(tx, LEADER, "another", lasts=lasts, alone=False))
        await leadership.run_once()
        assert leadership.lease() is None
        clock.advance(20)
        await leadership.run_once()
        assert told[2:] == [("before", False), ("now", True)]

    asyncio.run(main())


def test_the_same_term_taken_up_again_is_not_prepared_anew(store: Store, clock: VirtualClock) -> None:
    """What an earlier process had written down is older than what this one knows: quotas would go back (I12)."""
    prepared: list[int] = []

    async def main() -> None:
        async def before() -> None:
            prepared.append(1)

        woken: list[int] = []
        leadership = Leadership(
            store,
            clock,
            logger("test"),
            holder="me",
            alone=True,
            before_leading=before,
            leads_now=lambda: woken.append(1),
        )
        await leadership.run_once()
        leadership.distrust()
        assert leadership.lease() is None
        await leadership.run_once()
        assert leadership.lease() is not None
        assert (len(prepared), len(woken)) == (1, 2)

    asyncio.run(main())


def test_a_lead_that_cannot_be_prepared_is_not_taken(store: Store, clock: VirtualClock) -> None:
    async def main() -> None:
        async def before() -> None:
            raise ConnectionError("the database went away again")

        leadership = Leadership(store, clock, logger("test"), holder="me", alone=True, before_leading=before)
        try:
            await leadership.run_once()
        except ConnectionError:
            pass
        assert leadership.lease() is None

    asyncio.run(main())
