"""Refuses, in one sentence and before anything is begun, a PostgreSQL that Andon cannot work with.

A server that is away is told from one that answers and does not let us in: the first is worth waiting for.
"""

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from andon.runtime.errors import Refused
from andon.store.link import LINK


class ServerAway(Refused):
    """No server answers, or it takes nobody for the moment."""

    def __init__(self, where: str, said: str) -> None:
        super().__init__(
            f"{where}: PostgreSQL cannot be used ({said}). Start the server, or correct [server] database."
        )
        self.said = said


def check_usable(reading: Engine, where: str) -> None:
    """Asks through `reading`; `where` is the server's address for people.

    Raises Refused when the server does not let us in, or lends us a session for one transaction at
    a time (ADR 7); ServerAway when it is not there.
    """
    try:
        with reading.connect() as first, reading.connect() as second:
            sessions_are_ours = _own_sessions(first, second)
    except DBAPIError as error:
        raise refusal(error, reading, where) from None
    if not sessions_are_ours:
        raise Refused(
            f"{where}: a pooler there lends a session for one transaction only, and Andon keeps settings and prepared "
            "statements in its sessions. Set the pooler to session pooling, or name the server itself in "
            "[server] database."
        )


def refusal(error: DBAPIError, engine: Engine, where: str) -> Refused:
    """What is wrong when a connection failed: ServerAway when the server takes nobody, else a refusal of us."""
    away = ServerAway(where, _said(error))
    return away if _takes_nobody(error, engine) else Refused(str(away))


def _said(error: DBAPIError) -> str:
    """The first line of what the database said."""
    said = str(error.orig).strip().splitlines()
    return said[0] if said else "no answer"


def _takes_nobody(error: DBAPIError, engine: Engine) -> bool:
    """Asked of the server itself, who lets everybody know whether he is up: his words are in his own language."""
    if isinstance(error.orig, psycopg.errors.ConnectionTimeout):
        return True
    _, given = engine.dialect.create_connect_args(engine.url)
    # Neither objects of the driver's own, nor the password: the answer needs none.
    options = {name: value for name, value in given.items() if isinstance(value, str | int) and name != "password"}
    try:
        asked = make_conninfo("", **{**options, "connect_timeout": LINK["connect_timeout"]})
    except psycopg.ProgrammingError:
        return False
    return PGconn.ping(asked.encode()) in (Ping.REJECT, Ping.NO_RESPONSE)


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
