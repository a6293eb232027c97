"""Brings a database to the newest schema, and refuses one that a newer Andon wrote."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from andon.runtime.errors import Refused

_SCRIPTS = Path(__file__).parent / "migrations"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    # The path stands in a format string there, where a percent sign would mean something.
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def migrate(engine: Engine, where: str) -> str | None:
    """Migrates forward; gives the revision the database came from (None: it was empty).

    Raises Refused, and changes nothing, for a database of a newer version or of another program.
    """
    scripts = ScriptDirectory.from_config(_config())
    known = {script.revision for script in scripts.walk_revisions()}
    with engine.connect() as connection, connection.begin():
        came_from = MigrationContext.configure(connection).get_current_revision()
        if came_from is not None and came_from not in known:
            raise Refused(
                f"{where}: the database was written by a newer version of Andon (schema {came_from}). "
                "Install that version, or restore a backup made before it."
            )
        if came_from != scripts.get_current_head():
            command.upgrade(_config(connection), "head")
    return came_from
