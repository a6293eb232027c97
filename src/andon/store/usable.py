"""Refuses, in one sentence and before anything is begun, a PostgreSQL that Andon cannot work with."""

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from andon.runtime.errors import Refused


def check_usable(reading: Engine, where: str) -> None:
    """Asks through `reading`; `where` is the server's address for people.

    Raises Refused when the server does not answer, does not let us in, or lends us a session for
    one transaction at a time (ADR 7).
    """
    try:
        with reading.connect() as first, reading.connect() as second:
            sessions_are_ours = _own_sessions(first, second)
    except DBAPIError as error:
        said = str(error.orig).strip().splitlines()[0] if error.orig else "no answer"
        raise Refused(
            f"{where}: PostgreSQL cannot be used ({said}). Start the server, or correct [server] database."
        ) from None
    if not sessions_are_ours:
        raise Refused(
            f"{where}: a pooler there lends a session for one transaction only, and Andon keeps settings and prepared "
            "statements in its sessions. Set the pooler to session pooling, or name the server itself in "
            "[server] database."
        )


def _own_sessions(first: Connection, second: Connection) -> bool:
    """Whether both keep the session that they have.

    A pooler gives the session that `first` let go to `second`; or, where others took it, another
    one to `first` when it comes back.
    """
    before = _session(first)
    with second.begin():
        # A pool of one session would let a third transaction wait.
        return _ask(second) != before and _session(first) == before


def _session(connection: Connection) -> int:
    with connection.begin():
        return _ask(connection)


def _ask(connection: Connection) -> int:
    return connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
