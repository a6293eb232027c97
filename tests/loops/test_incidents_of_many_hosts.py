"""Many hosts that are silent cost one question of what they touch, and each incident has its own jobs (R36)."""

from typing import Any

from sqlalchemy import event

from andon.loops.incidents import follow
from andon.model.incident_kinds import IncidentCode
from andon.rules.liveness_fleet import ApiFact, Finding, Situation
from andon.store import claims, incidents
from andon.store.transaction import Store, Tx
from tests.support.builders import START, a_claim
from tests.support.running import read, write

HOSTS = tuple(f"h{number}" for number in range(12))
FOUND = [
    Finding(
        code=IncidentCode.HOST_SILENT, subject_kind="host", subject_id=name, title=f"{name} is away", facts={},
        hosts=(name,),
    )
    for name in HOSTS
]  # fmt: skip
NOBODY = Situation(now=START, hosts=(), api=ApiFact(answered_at=None, failing_since=None), heard_since=None)


def test_what_many_silent_hosts_touch_is_asked_once(store: Store) -> None:
    on_them = [
        a_claim(id=f"clm_{at}", runner_name=f"r{at}", host=name, job_id=100 + at, repository=f"acme/{name}")
        for at, name in enumerate(HOSTS)
    ]
    write(store, lambda tx: claims.reserve(tx, on_them))
    asked: list[str] = []

    def look(tx: Tx) -> None:
        def count(connection: Any, cursor: Any, statement: str, *rest: object) -> None:
            if "FROM claims" in statement:
                asked.append(statement)

        event.listen(tx.connection, "before_cursor_execute", count)
        try:
            follow(tx, FOUND, NOBODY)
        finally:
            event.remove(tx.connection, "before_cursor_execute", count)

    write(store, look)
    write(store, look)
    assert len(asked) == 2, "one for each look"
    found = {each.subject_id: (each.jobs, each.repositories) for each in read(store, incidents.live)}
    assert found == {name: ((100 + at,), (f"acme/{name}",)) for at, name in enumerate(HOSTS)}
