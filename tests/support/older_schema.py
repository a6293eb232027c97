"""A database as an older version left it: its schema, filled with what a control plane has in flight."""

from typing import Any

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, inspect, text

from andon.store.migrate import _config  # pyright: ignore[reportPrivateUsage]
from andon.store.schema import metadata

SCRIPTS = ScriptDirectory("src/andon/store/migrations")
OLDER = tuple(sorted(each.down_revision for each in SCRIPTS.walk_revisions() if isinstance(each.down_revision, str)))
"""Every schema that was ever the newest and is so no longer."""
COUNTED = ("deliveries", "journal")
"""Tables whose database counts their rows."""


def make_schema(engine: Engine, revision: str) -> None:
    """Brings an empty database to the schema `revision`."""
    with engine.connect() as connection, connection.begin():
        command.upgrade(_config(connection), revision)


def everything_in(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, as it lies there."""
    with engine.connect() as connection, connection.begin():
        return {
            table.name: [dict(row) for row in connection.execute(text(f"SELECT * FROM {table.name}")).mappings()]
            for table in metadata.sorted_tables
        }


def fill(engine: Engine, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Writes what this schema has a place for; the rest its version never knew."""
    there = MetaData()
    there.reflect(engine)
    with engine.connect() as connection, connection.begin():
        for table in metadata.sorted_tables:
            if table.name not in there.tables or not rows[table.name]:
                continue
            columns = [column.name for column in there.tables[table.name].columns if column.name in rows[table.name][0]]
            names, values = ", ".join(columns), ", ".join(f":{name}" for name in columns)
            kept = [{name: row[name] for name in columns} for row in rows[table.name]]
            connection.execute(text(f"DELETE FROM {table.name}"))
            connection.execute(text(f"INSERT INTO {table.name} ({names}) VALUES ({values})"), kept)
        if engine.dialect.name == "postgresql":
            for name in COUNTED:
                newest = max((row["seq"] for row in rows[name]), default=1)
                connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{name}', 'seq'), {newest})"))


def revision_of(engine: Engine) -> str:
    with engine.connect() as connection, connection.begin():
        found: str = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    return found


def tables_of(engine: Engine) -> dict[str, list[str]]:
    """Every table with its columns."""
    found = inspect(engine)
    return {name: sorted(column["name"] for column in found.get_columns(name)) for name in found.get_table_names()}
