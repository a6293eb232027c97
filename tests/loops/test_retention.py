"""Tables are bounded: ninety days of work end below a stated size, and nothing open is removed (R15)."""

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select

from andon.loops.retention import Retention
from andon.model.claim_states import ClaimEvent
from andon.model.config import Owner
from andon.model.disk import Deletion, DiskReport
from andon.model.enrolment import TokenState
from andon.model.incident_kinds import IncidentCode
from andon.model.journal import Entry
from andon.model.wire import LeaseReport, SlotState
from andon.rules.dispatch import Policy
from andon.rules.liveness_fleet import Finding
from andon.rules.retention import GONE_HOST, HISTORY, KEPT, REFUSED_RECORDS
from andon.store import claims, deliveries, enrolments, hosts, incidents, outbox, registrations
from andon.store.apply_news import apply_job_news, apply_run_news
from andon.store.apply_sync import apply_report
from andon.store.claims import Change, advance
from andon.store.deliveries import Delivery
from andon.store.dispatch import dispatch_once
from andon.store.retention import TABLES, prune
from andon.store.schema import metadata
from andon.store.transaction import Store, Tx
from tests.support.builders import a_config, a_pool, a_report, idle, job_news, run_news, slot_of, the_end
from tests.support.databases import Place
from tests.support.running import read, rows, write

POOL = a_pool()
CONFIG = a_config(pool=(POOL,), owner=(Owner(login="acme", repositories=("acme/app",)),))
POLICY = Policy(pools={"linux": POOL}, max_slots={})
SLOTS = 20
BODY = b"x" * 12_000
DAYS = 90
MOST_BYTES_A_JOB = 9_000
"""What a fleet's database file may hold for each job of the last 35 days, story and all."""
AT_LEAST_BYTES = 2_000_000
"""What the rest may take, however few jobs there are."""


def report(tx: Tx, seq: int, *slots: Any, **changes: Any) -> None:
    host = hosts.get_host(tx.connection, "host-a")
    assert host is not None
    apply_report(tx, host, a_report(slots or None, seq=seq, **changes), {"linux": POOL})


def enrol(tx: Tx) -> None:
    hosts.enrol(tx, "host-a", "aht_x")
    report(tx, 1, *(idle(number) for number in range(SLOTS)))


def in_part(tx: Tx, work: Callable[[Tx], Any]) -> Any:
    """Does it with journal and outbox written at once, so that what follows finds its acts."""
    part = Tx(tx.connection, tx.now, tx.ids)
    result = work(part)
    part.finish()
    return result


class Life:
    """Jobs that come, are claimed, run and end, all through the functions of the store."""

    def __init__(self) -> None:
        self.seq = 1

    def told(self, tx: Tx, guid: str, event: str, news: Any) -> None:
        deliveries.keep(tx, guid=guid, event=event, action="x", body=BODY)
        number = tx.connection.execute(select(func.max(metadata.tables["deliveries"].c.seq))).scalar_one()
        (apply_run_news if event == "workflow_run" else apply_job_news)(tx, news, CONFIG)
        delivery = Delivery(seq=number, guid=guid, event=event, body=BODY, attempts=0)
        deliveries.finish(tx, delivery, state="applied", reason="changed")

    def of_one(self, tx: Tx, number: int) -> None:
        run = 10 + number // 4
        news = {"run_id": run, "created_at": tx.now, "started_at": tx.now, "order_at": tx.now}
        if number % 4 == 0:
            self.told(tx, f"run-{run}-queued", "workflow_run", run_news(run))
        self.told(tx, f"{number}-queued", "workflow_job", job_news(number, **news))
        (claim,) = in_part(tx, lambda part: dispatch_once(part, POLICY, fleet="f", mode="act")).claimed
        for event in (ClaimEvent.MINTED, ClaimEvent.LAUNCHED, ClaimEvent.REGISTERED):
            moved = advance(tx, claim, Change(event=event, actor="test", reason="as it goes", deadline=tx.now))
            claim = moved if isinstance(moved, claims.Claim) else claim
        runs_here = {"runner_name": claim.runner_name, "runner_id": number, **news}
        self.told(tx, f"{number}-in-progress", "workflow_job", job_news(number, "in_progress", **runs_here))
        done = job_news(number, "completed", completed_at=tx.now, **runs_here)
        self.told(tx, f"{number}-completed", "workflow_job", done)
        self.seq += 2
        report(tx, self.seq - 1, slot_of(claim, SlotState.RUNNING))
        report(tx, self.seq, idle(claim.slot), ended=(the_end(claim, tail="last lines\n" * 40),))
        for act in outbox.due(tx.connection, tx.now, 10, frozenset()):
            outbox.finish(tx, act, result="done")


def counts(store: Store) -> dict[str, int]:
    return {name: how_many(store, name) for name in KEPT}


def how_many(store: Store, table: str) -> int:
    return rows(store, select(func.count().label("n")).select_from(metadata.tables[table]))[0]["n"]


async def prune_all(retention: Retention) -> int:
    passes = 1
    while await retention.run_once() is not None:
        passes += 1
    return passes


def test_every_table_that_grows_has_a_period() -> None:
    assert set(KEPT) == TABLES
    standing = {
        "meta",
        "jit_configs",
        "hosts",
        "host_tokens",
        "enrolment_tokens",
        "slots",
        "leases",
        "nudges",
        "budgets",
        "rails",
        # Each host's list replaces the one before, and goes with the host.
        "workspaces",
        "disks",
        # One line for each runner that is kept from work, gone when it is given back.
        "withheld_runners",
    }
    assert set(metadata.tables) == TABLES | standing, "a new table is bounded by its nature, or has a period"
    assert KEPT["claims"] >= timedelta(days=30), "runner ends (R34)"
    assert KEPT["deliveries"] >= timedelta(days=7), "GitHub redelivers for so long"


def test_ninety_days_stay_below_the_stated_size(
    store: Store, clock: Any, play_fleet: Any, place: Place, tmp_path: Path, count: Callable[[int], int]
) -> None:
    # A round trip for each statement makes the other database slower, and nothing here depends on it.
    whole, sqlite = count(10) == 10, place.kind == "sqlite"
    a_day, prune_every = (400 if sqlite else 40, 1) if whole else (6 if sqlite else 2, 6)
    file = tmp_path / "andon.db"
    sizes: list[int] = []

    def size() -> int:
        return file.stat().st_size if file.exists() else 0

    async def main() -> None:
        life, number = Life(), 0
        retention = Retention(play_fleet)
        await store.write(enrol)
        for today in range(DAYS):
            clock.advance(86_400)

            def day(tx: Tx, first: int = number) -> None:
                for each in range(first + 1, first + a_day + 1):
                    life.of_one(tx, each)

            await store.write(day)
            number += a_day
            if today % prune_every == prune_every - 1:
                await prune_all(retention)
            sizes.append(size())

    asyncio.run(main())
    kept = counts(store)
    days = {name: period.days + prune_every for name, period in KEPT.items()}
    assert kept["jobs"] <= a_day * days["jobs"] and kept["claims"] <= a_day * days["claims"]
    assert kept["runs"] <= a_day / 4 * days["runs"] + 2
    assert kept["deliveries"] <= a_day * 3.25 * days["deliveries"] + 5
    assert kept["jobs"] >= a_day * HISTORY.days, "no younger than it may go"
    if file.exists():
        most = AT_LEAST_BYTES + MOST_BYTES_A_JOB * a_day * HISTORY.days
        print(f"\n{DAYS} days of {a_day} jobs: {sizes[-1] / 1e6:.1f} MB (stated: {most / 1e6:.0f} MB), rows {kept}")
        assert sizes[-1] <= most
        assert sizes[-1] <= sizes[59] * 1.15, "the space that was freed is used again"


def test_what_is_open_is_kept_whatever_its_age(store: Store, clock: Any, play_fleet: Any) -> None:
    life = Life()

    def begin(tx: Tx) -> None:
        enrol(tx)
        life.of_one(tx, 1)
        apply_job_news(tx, job_news(2, run_id=77), CONFIG)
        apply_run_news(tx, run_news(77), CONFIG)
        deliveries.keep(tx, guid="waits", event="workflow_job", action="queued", body=b"{}")
        tx.order("learn_run", key="waits", subject="1", payload={})

    write(store, begin)
    claimed = write(store, lambda tx: dispatch_once(tx, POLICY, fleet="f", mode="act")).claimed
    clock.advance(400 * 86_400)
    asyncio.run(prune_all(Retention(play_fleet)))
    assert [row["id"] for row in rows(store, select(metadata.tables["jobs"].c.id))] == [2]
    assert [row["id"] for row in rows(store, select(metadata.tables["runs"].c.id))] == [77]
    assert [row["id"] for row in rows(store, select(metadata.tables["claims"].c.id))] == [claimed[0].id]
    assert [row["guid"] for row in rows(store, select(metadata.tables["deliveries"].c.guid))] == ["waits"]
    pending = {row["kind"] for row in rows(store, select(metadata.tables["outbox"].c.kind))}
    assert pending == {"learn_run", "mint_runner"}
    kinds = [row["kind"] for row in rows(store, select(metadata.tables["journal"].c.kind))]
    assert kinds == ["job.queued", "claim.reserved"], "the story of what is open, and nothing else"


def heard(tx: Tx, name: str, seq: int) -> None:
    host = hosts.get_host(tx.connection, name)
    assert host is not None
    apply_report(tx, host, a_report((idle(0),), seq=seq), {"linux": POOL})


def test_a_host_that_is_gone_for_so_long_is_taken_away_with_all_it_had(
    store: Store, clock: Any, play_fleet: Any
) -> None:
    nudges, names = metadata.tables["nudges"], ("serves", "gone", "never-heard", "there")

    def begin(tx: Tx) -> None:
        for name in names:
            hosts.enrol(tx, name, f"aht_{name}")
            row = {"name": f"host:{name}", "version": 1, "replica": "r"}
            tx.connection.execute(delete(nudges).where(nudges.c.name == row["name"]))
            tx.connection.execute(insert(nudges).values(row))
        heard(tx, "serves", 1)
        apply_job_news(tx, job_news(2, run_id=77), CONFIG)
        apply_run_news(tx, run_news(77), CONFIG)

    write(store, begin)
    (claim,) = write(store, lambda tx: dispatch_once(tx, POLICY, fleet="f", mode="act")).claimed
    assert claim.host == "serves"
    write(store, lambda tx: [heard(tx, name, 1) for name in ("gone", "there")])
    retention = Retention(play_fleet)

    def left(table: str, column: str) -> list[str]:
        rows_left = rows(store, select(metadata.tables[table].c[column]))
        return sorted(row[column] for row in rows_left)

    clock.advance(GONE_HOST.total_seconds() - 1)
    asyncio.run(prune_all(retention))
    assert left("hosts", "name") == sorted(names), "no younger than it may go"
    write(store, lambda tx: heard(tx, "there", 2))
    clock.advance(2)
    asyncio.run(prune_all(retention))
    stay = ["serves", "there"]
    for table, column in (("hosts", "name"), ("slots", "host"), ("host_tokens", "host")):
        assert left(table, column) == stay, table
    assert [name for name in left("nudges", "name") if name.startswith("host:")] == ["host:serves", "host:there"]
    removed = [row for row in rows(store, select(metadata.tables["journal"])) if row["kind"] == "host.removed"]
    assert sorted(row["host"] for row in removed) == ["gone", "never-heard"]
    told = read(store, lambda connection: enrolments.known_token(connection, "aht_gone"))
    assert told is not None and told.state is TokenState.REVOKED and "not heard of" in told.reason
    write(store, lambda tx: hosts.enrol(tx, "gone", "aht_new"))
    assert left("host_tokens", "host") == ["gone", *stay], "it can come back"
    clock.advance(GONE_HOST.total_seconds() + 1)
    asyncio.run(prune_all(retention))
    assert "aht_gone" not in left("enrolment_tokens", "host")
    assert read(store, lambda connection: enrolments.known_token(connection, "aht_gone")) is None


def test_the_story_of_a_job_goes_with_the_job_and_not_before(store: Store, clock: Any, play_fleet: Any) -> None:
    life = Life()

    def begin(tx: Tx) -> None:
        enrol(tx)
        life.of_one(tx, 1)

    def story() -> int:
        lines = select(metadata.tables["journal"].c.id).where(metadata.tables["journal"].c.job_id == 1)
        return len(rows(store, lines))

    write(store, begin)
    clock.advance(20 * 86_400)
    write(store, lambda tx: apply_job_news(tx, job_news(1, "completed", run_id=10, completed_at=tx.now), CONFIG))
    before = story()
    clock.advance(20 * 86_400)
    write(store, lambda tx: report(tx, 90, *(idle(number) for number in range(SLOTS))))
    asyncio.run(prune_all(Retention(play_fleet)))
    assert (how_many(store, "jobs"), story()) == (1, before)
    clock.advance(20 * 86_400)
    asyncio.run(prune_all(Retention(play_fleet)))
    assert (how_many(store, "jobs"), story()) == (0, 0)


def test_records_that_the_spool_refused_go_after_a_while(clock: Any, play_fleet: Any, tmp_path: Path) -> None:
    old, young, waits = (tmp_path / name for name in ("1.refused", "2.refused", "3.segment"))
    for path, age in ((old, 1), (young, -1), (waits, 1)):
        path.write_bytes(b"x")
        at = (clock.now() - REFUSED_RECORDS).timestamp() - age
        os.utime(path, (at, at))
    asyncio.run(prune_all(Retention(play_fleet, spool=tmp_path)))
    asyncio.run(prune_all(Retention(play_fleet, spool=tmp_path / "not-made-yet")))
    assert [path.exists() for path in (old, young, waits)] == [False, True, True]


def test_rows_that_stay_do_not_stop_the_walk(store: Store, clock: Any) -> None:
    def begin(tx: Tx) -> None:
        apply_job_news(tx, job_news(2), CONFIG)
        line = {"actor": "a", "subject_kind": "s", "subject_id": "1", "reason": "r", "kind": "k"}
        for number in range(40):
            tx.record(Entry(**line, job_id=2 if number < 20 else None))  # pyright: ignore[reportArgumentType]

    write(store, begin)
    clock.advance(40 * 86_400)
    after, removed, windows = None, 0, 0
    while True:
        step = write(store, lambda tx, at=after: prune(tx, "journal", before=tx.now - HISTORY, after=at, window=10))
        removed, after, windows = removed + step.removed, step.after, windows + 1
        if after is None:
            break
    assert (removed, windows) == (20, 5)
    assert how_many(store, "journal") == 21


def tell_of_disks(tx: Tx) -> None:
    over = LeaseReport(id="w", run_id=1, attempt=1, state="dead", bytes=1, slot=0, repository="acme/app", job="build")
    gone = Deletion(id="d", at=tx.now, path="/p", path_class="dead", actor="agent:guard", reason="r")
    report(tx, 99, disk=(DiskReport(mount="/", total=2, free=1),), leases=(over,), deletions=(gone,))


@pytest.mark.parametrize("table", sorted(TABLES))
def test_nothing_young_is_removed(store: Store, clock: Any, table: str) -> None:
    write(store, lambda tx: (enrol(tx), Life().of_one(tx, 4)))
    if table == "pauses":
        row = {"owner": "acme", "repository": "", "pool": "", "until": clock.now(), "failures": 1, "reason": "r"}
        write(store, lambda tx: tx.connection.execute(insert(metadata.tables[table]).values(row)))
    if table == "incidents":
        found = Finding(code=IncidentCode.GITHUB_DOWN, subject_kind="github", subject_id="api", title="t", facts={})
        write(store, lambda tx: incidents.open_once(tx, found, caused_by=None))
        for step in (lambda tx, one: incidents.ease(tx, one, "r"), incidents.past_deadline):
            (live,) = read(store, incidents.live)
            write(store, lambda tx, step=step, live=live: step(tx, live))
            clock.advance(0 if live.state == "easing" else 900)
    if table == "registrations":
        place = registrations.Place(owner="acme", repository="")
        seen = registrations.Sighting(name="r", runner_id=1, status="online", busy=False)
        write(store, lambda tx: registrations.keep(tx, place, [seen], []))
    if table in ("disk_samples", "deletions", "growth", "growth_samples"):
        write(store, tell_of_disks)
    assert how_many(store, table)
    clock.advance(KEPT[table].total_seconds() - 1)
    step = write(store, lambda tx: prune(tx, table, before=tx.now - KEPT[table], after=None, window=500))
    assert (step.removed, step.after) == (0, None)
    clock.advance(2)
    # Runs wait for their jobs, which have the same age here.
    for name in ("jobs", table):
        step = write(store, lambda tx, name=name: prune(tx, name, before=tx.now - KEPT[table], after=None, window=500))
    assert how_many(store, table) == 0
