"""Opens the database that the configuration names, migrated, and what belongs to its kind."""

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.ids import Ids
from andon.runtime.logging import Logger
from andon.store.database_clock import DatabaseClock
from andon.store.listener import Listener
from andon.store.migrate import migrate
from andon.store.postgres import PostgresDatabase, server_address
from andon.store.sqlite import SqliteDatabase
from andon.store.transaction import Store

_SQLITE = "sqlite:///"
_POSTGRES = "postgresql://"


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A store, and whether others may be at work on it."""

    store: Store
    shared: bool
    """PostgreSQL: other replicas may lead. SQLite: this process is the only one."""
    where: str
    """The file, or the server's address without its password."""
    listen: Callable[[Callable[[Iterable[str]], None]], Listener] | None
    """Makes what hears other replicas, given whom to wake."""


def may_be_away(database: str) -> bool:
    """Whether it is a server, which can be started later than this program."""
    return database.startswith(_POSTGRES)


def open_store(database: str, data: Path, *, clock: Clock, ids: Ids, log: Logger, replica: str) -> Opened:
    """Opens `database`, a URL as in `[server] database`; SQLite's file lies below `data`.

    Raises Refused, with one sentence, for a database in use, out of reach (then ServerAway), or of a newer
    version.
    """
    if database.startswith(_SQLITE):
        path = data / database.removeprefix(_SQLITE)
        path.parent.mkdir(parents=True, exist_ok=True)
        made = SqliteDatabase(path, lambda engine: migrate(engine, str(path)))
        return Opened(store=Store(made, clock, ids), shared=False, where=str(path), listen=None)
    if database.startswith(_POSTGRES):
        where = server_address(database)
        shared = PostgresDatabase(database, lambda engine: migrate(engine, where), replica=replica)
        return Opened(
            store=Store(shared, DatabaseClock(clock), ids, database_time=True),
            shared=True,
            where=where,
            listen=lambda wake: Listener(database, replica=replica, wake=wake, clock=clock, log=log),
        )
    kind = database.partition("://")[0] if "://" in database else database
    raise Refused(f'[server] database is of the kind "{kind}". Use "sqlite:///FILE" or "postgresql://USER@HOST/NAME".')
