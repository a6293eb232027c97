"""Wake-ups between control planes on one PostgreSQL: NOTIFY, and a table to poll behind it.

What a transaction woke in its own process is told to the other replicas in the same commit. A
notification can be lost (a pooler between, a connection that broke); the table cannot.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from andon.store.driver import Statement, driver_of

CHANNEL = "andon"
EVERYTHING = "*"
"""The name that stands for everybody."""
_COLLECTED = "andon_nudges"
_LONGEST = 7000
"""Bytes of a notification; PostgreSQL takes 8,000."""

# Writers are one after the other, so a later transaction has a higher number.
_ANNOUNCE = Statement(
    "announce",
    f"""
    WITH told AS (
        INSERT INTO nudges (name, version, replica)
        SELECT name, pg_current_xact_id()::text::bigint, $1 FROM unnest(string_to_array($2, E'\\n')) AS name
        ON CONFLICT (name) DO UPDATE SET version = excluded.version, replica = excluded.replica
    )
    SELECT pg_notify('{CHANNEL}', $3)
    """,
)

NEWER = "SELECT name, version, replica FROM nudges WHERE version > %s"
"""What was woken since; for the listener, which has a connection of its own."""
NEWEST = "SELECT coalesce(max(version), 0) FROM nudges"


def start_collecting(connection: Connection) -> None:
    """Called at the begin of a transaction whose wake-ups others must hear."""
    connection.info[_COLLECTED] = set[str]()


def note(connection: Connection, names: Iterable[str]) -> None:
    """Adds to what this transaction wakes; nothing where nobody else listens (SQLite)."""
    collected: set[str] | None = connection.info.get(_COLLECTED)
    if collected is not None:
        collected.update(names)


def announce(connection: Connection, replica: str) -> None:
    """Tells the other replicas, with the commit that follows."""
    names: set[str] = connection.info.get(_COLLECTED) or set()
    if names:
        listed = sorted(names)
        values = (replica, "\n".join(listed), payload(replica, listed))
        with driver_of(connection) as driver:
            driver.run(_ANNOUNCE, [value.encode() for value in values])


def payload(replica: str, names: Iterable[str]) -> str:
    """A notification: who tells, and whom to wake."""
    said = "\n".join([replica, *names])
    return said if len(said.encode()) <= _LONGEST else f"{replica}\n{EVERYTHING}"


def told(said: str) -> tuple[str, tuple[str, ...]]:
    """A notification taken apart: the replica that tells, and the names."""
    replica, *names = said.split("\n")
    return replica, tuple(names)
