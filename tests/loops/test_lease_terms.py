"""A term that was lost stays lost, and a lease is trusted from before the question on (T24; limits.md 6, row 12)."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from andon.loops.leadership import LEADER, TERMS, Leadership
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock
from andon.store import leases
from andon.store.leases import Fenced, Lease
from andon.store.transaction import Store, Tx
from tests.support.running import write

LASTS = timedelta(seconds=15)


def test_what_was_decided_in_an_earlier_term_is_refused_though_the_same_one_leads_again(
    store: Store, clock: VirtualClock
) -> None:
    first = _take(store, "a")
    for holder in ("b", "a"):
        clock.advance(20)
        last = _take(store, holder)
    write(store, lambda tx: leases.check(tx, last))
    with pytest.raises(Fenced):
        write(store, lambda tx: leases.check(tx, first))


def _take(store: Store, holder: str) -> Lease:
    taken = write(store, lambda tx: leases.take(tx, LEADER, holder, lasts=LASTS, alone=False))
    assert taken is not None
    return taken


def test_a_slow_answer_shortens_the_trust(store: Store, clock: VirtualClock) -> None:
    """Somebody else may take the lease so long after the question, however late its answer comes."""

    class Slow:
        async def write(self, work: Callable[[Tx], Any]) -> Any:
            done = await store.write(work)
            clock.advance(TERMS.trusted.total_seconds() - 1)
            return done

    async def main() -> None:
        slow: Any = Slow()
        leadership = Leadership(slow, clock, logger("test"), holder="me", alone=False)
        await leadership.run_once()
        assert leadership.lease() is not None
        clock.advance(1)
        assert leadership.lease() is None

    asyncio.run(main())
