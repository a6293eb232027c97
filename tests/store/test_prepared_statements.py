"""The statements of the hot path stay prepared, whatever else happens on their connection (ADR 4).

The driver prepares by itself what it sees often, and after a rollback lets the server forget everything
that was prepared on the connection: ours too, of which it knows nothing.
"""

import pytest
from sqlalchemy import text

from andon.store.transaction import Store, Tx
from tests.support.running import write

DATABASES = ("postgresql",)


class _Undone(Exception):
    """A fault of ours in the middle of a transaction."""


def test_a_rollback_forgets_none_of_ours(store: Store) -> None:
    def asks(tx: Tx) -> None:
        tx.nudges.add("dispatch")
        tx.connection.execute(text("SELECT 1 WHERE 1 = :one"), {"one": 1})

    def breaks(tx: Tx) -> None:
        asks(tx)
        raise _Undone

    for _ in range(10):
        # Often enough for the driver to prepare it.
        write(store, asks)
    with pytest.raises(_Undone):
        write(store, breaks)
    write(store, asks)
