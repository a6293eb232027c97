"""Single values that the fleet keeps for ever, such as its own id."""

from sqlalchemy import select

from andon.store.bulk import insert_new
from andon.store.schema import meta
from andon.store.transaction import Tx


def fleet_id(tx: Tx) -> str:
    """The fleet's id, made once: only runners whose name carries it are ours (interfaces.md 10)."""
    fresh = tx.ids.new("fleet")[-6:]
    insert_new(tx.connection, meta, [{"name": "fleet_id", "value": fresh}])
    return str(tx.connection.execute(select(meta.c.value).where(meta.c.name == "fleet_id")).scalar_one())
