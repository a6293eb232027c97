"""Benchmark "dispatch" on PostgreSQL: our whole transaction beside two job queues, on one server.

Ours looks at slots, caps and pauses, decides between the owners, and writes claims, journal and
outbox. Theirs mark rows. Each has one connection and a database of its own on the same durable
server, with the same backlog; they take turns, and what counts is the ratio within a round.
"""

import contextlib
from collections.abc import Awaitable, Callable

from andon.runtime.clock import Clock
from andon.runtime.ids import Ids
from andon.sim.bench.dispatch_backlog import BATCH, OWNERS, end_claims, fill, owner, policy
from andon.sim.bench.figures import Figure, Result, figure
from andon.sim.bench.peers import Peer, PgQueuer, Procrastinate, check_installed
from andon.sim.bench.processor import busy
from andon.sim.stage.postgres import PostgresServer
from andon.store.dispatch import dispatch_once
from andon.store.migrate import migrate
from andon.store.postgres import PostgresDatabase
from andon.store.transaction import Store

PGQUEUER_BOUND = 1.0
PROCRASTINATE_BOUND = 2.0
_SINGLE = 10
"""Claims of a turn where each is a transaction of its own."""


class _Ours:
    """Our dispatch as the loop runs it, and as a peer of the others."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    async def filled(cls, url: str, backlog: int, clock: Clock, ids: Ids) -> "_Ours":
        import psycopg

        database = PostgresDatabase(url, lambda engine: migrate(engine, url))
        await database.write(lambda connection: fill(connection, backlog, clock.now()))
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute("VACUUM ANALYZE")
        return cls(Store(database, clock, ids))

    async def claim(self, count: int) -> None:
        of_count = policy(count)
        done = await self._store.write(lambda tx: dispatch_once(tx, of_count, fleet="bench", mode="act"))
        if len(done.claimed) != count:
            raise AssertionError(f"ours claimed {len(done.claimed)} of {count}")

    async def end(self) -> None:
        await self._store.database.write(end_claims)

    async def close(self) -> None:
        self._store.close()


async def bench_dispatch_postgres(
    *, rounds: int, turns: int, backlog: int, clock: Clock, ids: Ids, say: Callable[[str], None]
) -> Result:
    """`rounds` rounds in which each claims `turns` batches of 50. Raises Refused where something is missing."""
    check_installed()
    with PostgresServer.started() as server:
        return await beside_peers(server, rounds=rounds, turns=turns, backlog=backlog, clock=clock, ids=ids, say=say)


async def beside_peers(
    server: PostgresServer,
    *,
    rounds: int,
    turns: int,
    backlog: int,
    clock: Clock,
    ids: Ids,
    say: Callable[[str], None],
) -> Result:
    """The same on a server that runs."""
    conditions = busy()
    async with contextlib.AsyncExitStack() as stack:

        async def opened(peer: Awaitable[Peer]) -> Peer:
            ready = await peer
            stack.push_async_callback(ready.close)
            return ready

        say(f"filling four backlogs of {backlog} jobs on PostgreSQL ...")
        owners = [owner(number) for number in range(OWNERS)]
        new = server.fresh_database
        ours = await opened(_Ours.filled(new(), backlog, clock, ids))
        plain = await opened(PgQueuer.filled(new(), backlog, owners=owners, limit=0))
        limited = await opened(PgQueuer.filled(new(), backlog, owners=owners, limit=BATCH))
        procrastinate = await opened(Procrastinate.filled(new(), backlog))
        arms = {
            "ours": (ours, BATCH),
            "pgqueuer": (plain, BATCH),
            "limited": (limited, BATCH),
            "procrastinate": (procrastinate, BATCH),
            "ours, one": (ours, 1),
            "pgqueuer, one": (plain, 1),
        }
        rates: dict[str, list[float]] = {name: [] for name in arms}
        for number in range(rounds + 1):
            for name, (peer, batch) in arms.items():
                rate = await _rate(peer, batch, _turns(name, batch, turns), clock)
                if number:
                    # The first warms up: plans, prepared statements, caches.
                    rates[name].append(rate)
            if number:
                shown = (f"{name} {rates[name][-1]:.0f}/s" for name in ("ours", "pgqueuer", "procrastinate"))
                say(f"round {number} of {rounds}: {', '.join(shown)}")
    return Result(
        bench="dispatch",
        conditions=f"PostgreSQL, synchronous_commit on, {rounds} rounds of {turns} batches of {BATCH}, backlog "
        f"{backlog}, {OWNERS} owners, one connection each, {conditions}",
        figures=_figures(rates),
    )


def _turns(name: str, batch: int, turns: int) -> int:
    """How often one claims in a round; procrastinate's batches are many statements each."""
    if batch == 1:
        return min(_SINGLE, turns)
    return max(1, turns // 4) if name == "procrastinate" else turns


async def _rate(peer: Peer, batch: int, turns: int, clock: Clock) -> float:
    """Claims a second; what follows a claim is done between the claims and not counted."""
    took = 0.0
    for _ in range(turns):
        began = clock.monotonic()
        await peer.claim(batch)
        took += clock.monotonic() - began
        await peer.end()
    return turns * batch / took


def _figures(rates: dict[str, list[float]]) -> tuple[Figure, ...]:
    def ratio(name: str, own: str, other: str, bound: float | None = None) -> Figure:
        pairs = zip(rates[own], rates[other], strict=True)
        return figure(f"PostgreSQL: {name}", [mine / theirs for mine, theirs in pairs], "ratio", bound=bound)

    def rate(name: str, of: str) -> Figure:
        return figure(f"PostgreSQL: claims a second, {name}", rates[of], "1/s")

    return (
        rate("ours", "ours"),
        rate("pgqueuer", "pgqueuer"),
        rate("pgqueuer with a limit for each owner", "limited"),
        rate("procrastinate", "procrastinate"),
        ratio("ours / pgqueuer", "ours", "pgqueuer", PGQUEUER_BOUND),
        ratio("ours / pgqueuer with a limit for each owner", "ours", "limited"),
        ratio("ours / procrastinate", "ours", "procrastinate", PROCRASTINATE_BOUND),
        rate("one at a time, ours", "ours, one"),
        rate("one at a time, pgqueuer", "pgqueuer, one"),
    )
