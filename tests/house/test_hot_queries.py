"""The statements that run all the time use an index: none of them reads a whole table that grows."""

import re
from typing import Any

import pytest
from sqlalchemy import text

from andon.rules.dispatch import Policy
from andon.store import claims, deliveries, hosts, jobs, journal, outbox, workspaces
from andon.store.dispatch import dispatch_once
from andon.store.transaction import Store
from tests.support.builders import START, a_pool, at
from tests.support.running import read, write

GROWING = ("jobs", "claims", "deliveries", "outbox", "journal", "runs")
HOT: dict[str, Any] = {
    "waiting jobs": lambda c: jobs.oldest_waiting(c, a_pool(trust="no-forks"), 50, jobs.Paused()),
    "unknown runs": lambda c: jobs.unknown_runs(c, "linux", 20),
    "free slots": lambda c: hosts.free_slots(c, START),
    "live claims by owner": claims.live_counts,
    "live claims": claims.live_claims,
    "live claims of a host": lambda c: claims.live_claims(c, host="host-a"),
    "overdue claims": lambda c: claims.overdue(c, at(1), 10),
    "next deadline": claims.next_deadline,
    "claim of a runner": lambda c: claims.claim_of_runner(c, "r"),
    "live claim of a job": lambda c: claims.live_claim_of_job(c, 1),
    "deliveries to apply": lambda c: deliveries.to_apply(c, 10),
    "acts that are due": lambda c: outbox.due(c, START, 10, frozenset()),
    "next act": lambda c: outbox.next_due(c, START),
    "unfinished jobs": jobs.unfinished,
    "story of a job": lambda c: journal.story_of_job(c, 1),
    "jit configs of a host": lambda c: claims.jit_configs_of(c, "host-a"),
    "runs and jobs behind a host's workspaces": lambda c: workspaces.words_for(c, "host-a"),
}


@pytest.mark.parametrize("name", HOT)
def test_no_hot_statement_scans_a_table_that_grows(store: Store, name: str) -> None:
    statements: list[tuple[str, Any]] = []

    def work(connection: Any) -> list[str]:
        # The prepared ones pass the library by, and only the driver sees them.
        driver = connection.connection.driver_connection
        driver.set_trace_callback(lambda statement: statements.append((statement, ())))
        HOT[name](connection)
        driver.set_trace_callback(None)
        plans: list[str] = []
        for statement, parameters in statements:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans += [row[3] for row in rows]
        return plans

    plans = read(store, work)
    assert plans
    # A key's own index holds every row too; only an index of some rows makes it short.
    scans = [plan for plan in plans if re.match(rf"SCAN ({'|'.join(GROWING)})\b(?!.*INDEX [iu]x_)", plan)]
    assert scans == []


def test_a_round_of_dispatch_asks_few_questions(store: Store) -> None:
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    def work(tx: Any) -> None:
        driver = tx.connection.connection.driver_connection
        driver.set_trace_callback(note)
        dispatch_once(tx, Policy(pools={"linux": a_pool()}, max_slots={}), fleet="f", mode="act")
        driver.set_trace_callback(None)

    write(store, work)
    assert count <= 4, "an idle round is two or three statements, whatever the number of jobs"
    assert read(store, lambda c: c.execute(text("SELECT count(*) FROM claims")).scalar()) == 0
