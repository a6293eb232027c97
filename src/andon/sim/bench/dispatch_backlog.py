"""What dispatch finds when a benchmark begins: one host with idle slots, and jobs that wait."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, text

from andon.model.config import Pool
from andon.rules.dispatch import Policy
from andon.store.schema import hosts, jobs, runs, slots

BATCH = 50
LABELS = ("self-hosted", "linux", "x64")
OWNERS = 5
_JOB_BYTES = 400
"""About what a row of a job holds."""


def policy(batch: int = BATCH) -> Policy:
    """Five owners, each with a cap that a batch does not reach."""
    return Policy(
        pools={"linux": Pool(name="linux", labels=LABELS)},
        max_slots={owner(number): BATCH for number in range(OWNERS)},
        batch=batch,
    )


def owner(number: int) -> str:
    """Who owns the job of this number."""
    return f"owner{number % OWNERS}"


def fill(connection: Connection, backlog: int, now: datetime) -> None:
    """One host with as many slots as a batch, and jobs of several owners whose runs are known."""
    host: dict[str, Any] = {
        "name": "bench",
        "intent": "open",
        "observed": "reporting",
        "seq": 0,
        "disk": [],
        "enrolled_at": now,
    }
    connection.execute(insert(hosts).values(host))
    slot = {"host": "bench", "kind": "jit", "pool": "linux", "intent": "open", "state": "idle", "since": now}
    connection.execute(insert(slots), [{**slot, "slot": number} for number in range(BATCH)])
    connection.execute(insert(jobs), [_job(number, now) for number in range(backlog)])
    run = {"attempt": 1, "event": "push", "sha": "0" * 40, "status": "queued", "fork": False, "observed_at": now}
    connection.execute(
        insert(runs), [{**run, "id": number, "repository": f"{owner(number)}/app"} for number in range(backlog)]
    )


def end_claims(connection: Connection) -> None:
    """What happens between two rounds: the jobs ran, the slots are free, the acts are done."""
    for statement in (
        "UPDATE jobs SET status = 'completed' WHERE id IN (SELECT job_id FROM claims WHERE state = 'reserved')",
        "UPDATE claims SET state = 'settled' WHERE state = 'reserved'",
        "UPDATE outbox SET state = 'done' WHERE state = 'pending'",
    ):
        connection.execute(text(statement))


def _job(number: int, now: datetime) -> dict[str, object]:
    name = f"job {number} "
    return {
        "id": number,
        "repository": f"{owner(number)}/app",
        "owner": owner(number),
        "run_id": number,
        "attempt": 1,
        "name": name + "x" * (_JOB_BYTES - 200 - len(name)),
        "workflow": "ci",
        "branch": "main",
        "sha": "0" * 40,
        "labels": LABELS,
        "pool": "linux",
        "status": "queued",
        "created_at": now,
        "queued_at": now,
        "fork": False,
        "observed_at": now,
    }
