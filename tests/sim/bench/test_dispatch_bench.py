"""`andon bench dispatch` in small, on both databases and beside the real peers."""

import asyncio
from random import Random

import pytest

from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused
from andon.runtime.ids import SortableIds
from andon.sim.bench import peers
from andon.sim.bench.dispatch import bench_dispatch
from andon.sim.bench.dispatch_postgres import beside_peers
from andon.sim.bench.figures import together
from andon.sim.stage.postgres import PostgresServer


def ids(clock: SystemClock) -> SortableIds:
    return SortableIds(clock, Random(1))


def test_on_postgresql_everybody_claims_in_every_round(postgres: PostgresServer) -> None:
    clock = SystemClock()
    work = beside_peers(postgres, rounds=1, turns=1, backlog=250, clock=clock, ids=ids(clock), say=lambda text: None)
    result = asyncio.run(work)
    figures = {figure.name: figure for figure in result.figures}
    assert figures["PostgreSQL: ours / pgqueuer"].bound == 1.0
    assert figures["PostgreSQL: ours / procrastinate"].bound == 2.0
    assert all(figure.value > 0 for figure in result.figures)


def test_on_sqlite_a_round_is_taken_back_before_the_next() -> None:
    clock = SystemClock()
    result = asyncio.run(bench_dispatch(rounds=2, backlog=100, clock=clock, ids=ids(clock), say=lambda text: None))
    assert [figure.unit for figure in result.figures] == ["1/s", "1/s", "ratio"]
    both = together([result, result])
    assert len(both.figures) == 6


def test_a_missing_peer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None if name == "pgqueuer" else object())
    with pytest.raises(Refused, match=r"beside pgqueuer, which is not installed\. .*--database sqlite\.$"):
        peers.check_installed()
