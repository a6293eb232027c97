"""Incidents in the store: one for each cause and subject, each step once and journalled (R36)."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from andon.model.incident_kinds import KINDS, IncidentCode
from andon.model.incident_states import IncidentState
from andon.model.nouns import Incident
from andon.rules.liveness_fleet import Finding
from andon.store import incidents, journal, schema
from andon.store.transaction import Store
from tests.support.running import read, write

LOST = Finding(
    code=IncidentCode.HOST_SILENT,
    subject_kind="host",
    subject_id="host-a",
    title="Host host-a does not report",
    facts={"last_seen": "then"},
    hosts=("host-a",),
)


def opened(store: Store, finding: Finding = LOST) -> Incident | None:
    return write(store, lambda tx: incidents.open_once(tx, finding, caused_by=None))


def the_live(store: Store) -> Incident:
    (found,) = read(store, incidents.live)
    return found


def test_a_cause_is_opened_once_for_each_subject(store: Store) -> None:
    assert opened(store) is not None
    assert opened(store) is None
    assert opened(store, msgspec.structs.replace(LOST, subject_id="host-b")) is not None
    assert len(read(store, incidents.live)) == 2
    assert read(store, incidents.counts) == {("host.silent", "page"): 2}


def test_the_database_itself_allows_one_live_incident_of_a_subject(store: Store) -> None:
    """Two leaders by mistake still cannot open it twice."""
    opened(store)

    def again(tx: Any) -> None:
        row = tx.connection.execute(select(schema.incidents)).mappings().one()
        tx.connection.execute(insert(schema.incidents).values({**row, "id": "inc_other"}))

    with pytest.raises(IntegrityError):
        write(store, again)


def test_each_step_happens_once_and_after_the_end_a_new_one_may_come(store: Store, clock: Any) -> None:
    first = opened(store)
    assert first is not None
    before = the_live(store)
    write(store, lambda tx: incidents.ease(tx, before, "it reports again"))
    write(store, lambda tx: incidents.ease(tx, before, "said twice"))
    easing = the_live(store)
    assert easing.state is IncidentState.EASING and len(easing.evidence) == 2
    write(store, lambda tx: incidents.past_deadline(tx, easing))
    assert the_live(store).state is IncidentState.EASING, "not yet"
    clock.advance(KINDS[IncidentCode.HOST_SILENT].quiet.total_seconds())
    write(store, lambda tx: incidents.past_deadline(tx, easing))
    assert read(store, incidents.live) == []
    closed = read(store, lambda connection: incidents.get(connection, first.id))
    assert closed is not None and closed.state is IncidentState.CLOSED and closed.closed_at == clock.now()
    write(store, lambda tx: incidents.goes_on(tx, easing, LOST))
    assert read(store, incidents.live) == [], "what was closed meanwhile stays closed"
    clock.advance(1)
    assert opened(store) is not None
    assert [each.state.value for each in read(store, lambda c: incidents.newest(c, 10))] == ["open", "closed"]
    kinds = [each.entry.kind for each in reversed(read(store, lambda c: journal.newest(c, 50, host="host-a")))]
    assert kinds == ["incident.opened", "incident.eased", "incident.closed", "incident.opened"]


def test_lists_are_paged_and_narrowed(store: Store, clock: Any) -> None:
    for number in range(5):
        clock.advance(1)
        opened(store, msgspec.structs.replace(LOST, subject_id=f"host-{number}"))
    first = read(store, lambda connection: incidents.newest(connection, 2))
    assert [each.subject_id for each in first] == ["host-4", "host-3"]
    rest = read(store, lambda connection: incidents.newest(connection, 10, before=first[-1].id))
    assert [each.subject_id for each in rest] == ["host-2", "host-1", "host-0"]
    assert read(store, lambda connection: incidents.newest(connection, 10, state=IncidentState.CLOSED)) == []
