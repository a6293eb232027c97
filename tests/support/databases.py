"""A migrated database of either kind for one test, and ways around its one writer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from andon.sim.stage.postgres import PostgresServer
from andon.store.migrate import migrate
from andon.store.postgres import PostgresDatabase, postgres_engine
from andon.store.sqlite import SqliteDatabase, sqlite_engine

KINDS = ("sqlite", "postgresql")
TEMPLATE = "andon_template"


class Place(Protocol):
    """Where one test keeps its database."""

    kind: str

    def open(self) -> SqliteDatabase | PostgresDatabase:
        """The database, migrated; the caller closes it."""
        ...

    def engine(self, connections: int = 4) -> Engine:
        """Connections behind the writer's back, without its lock; the caller disposes of them."""
        ...


class SqlitePlace:
    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> SqliteDatabase:
        return SqliteDatabase(self.path, lambda engine: migrate(engine, str(self.path)))

    def engine(self, connections: int = 4) -> Engine:
        return sqlite_engine(self.path, readers=connections)


class PostgresPlace:
    kind = "postgresql"

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self) -> PostgresDatabase:
        return PostgresDatabase(self.url, lambda engine: migrate(engine, "the test's database"))

    def engine(self, connections: int = 4) -> Engine:
        return postgres_engine(self.url, begin="BEGIN", connections=connections)


def make_template(server: PostgresServer) -> None:
    """A migrated database that others are copied from: quicker than migrating each."""
    url = server.fresh_database(name=TEMPLATE)
    PostgresDatabase(url, lambda engine: migrate(engine, "template")).close()


@contextmanager
def a_place(kind: str, folder: Path, server: Callable[[], PostgresServer]) -> Iterator[Place]:
    """A place of this kind; `server` gives the PostgreSQL server that holds the template."""
    if kind == "sqlite":
        yield SqlitePlace(folder / "andon.db")
        return
    running = server()
    url = running.fresh_database(template=TEMPLATE)
    try:
        yield PostgresPlace(url)
    finally:
        running.drop_database(url)
