"""A delivery is work once: its GUID may come again as often as GitHub likes (R1, T24)."""

from andon.store import deliveries
from andon.store.transaction import Store, Tx
from tests.support.running import read, write


def test_a_delivery_that_was_applied_or_ignored_is_no_work_when_it_comes_again(store: Store) -> None:
    for state in ("applied", "ignored"):
        guid = f"guid-{state}"
        assert write(store, lambda tx, guid=guid: _keep(tx, guid))
        (waiting,) = read(store, lambda connection: deliveries.to_apply(connection, 10))
        write(store, lambda tx, one=waiting, state=state: deliveries.finish(tx, one, state=state, reason="changed"))
        assert not write(store, lambda tx, guid=guid: _keep(tx, guid))
        assert read(store, lambda connection: deliveries.to_apply(connection, 10)) == []
        assert not read(store, lambda connection, one=waiting: deliveries.waits(connection, one))


def _keep(tx: Tx, guid: str) -> bool:
    return deliveries.keep(tx, guid=guid, event="workflow_job", action="queued", body=b"{}")
