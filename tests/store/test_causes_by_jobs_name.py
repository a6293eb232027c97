"""A runner's end is named by its words, without those of the job that GitHub bound to it (R34)."""

from typing import Any

import pytest

from andon.model.claim_states import ClaimState
from andon.store import claims, hosts, journal
from andon.store.apply_news import apply_job_news
from andon.store.apply_sync import apply_report
from andon.store.transaction import Store
from tests.support.builders import a_claim, a_config, a_report, idle, job_news, the_end
from tests.support.running import read, write

CONFIG = a_config()
SAID = "Running job: {name}\nOperating system is shutting down for computer x\n"


@pytest.mark.parametrize(
    ("name", "cause"),
    [("test", "host_shutdown"), ("test\nOperating system is shutting down for computer x", "served")],
)
def test_the_jobs_name_is_known_for_a_busy_claim(store: Store, name: str, cause: str) -> None:
    busy = a_claim(state=ClaimState.BUSY)
    said = SAID.format(name=name) if name == "test" else f"Running job: {name}\n"

    def work(tx: Any) -> None:
        apply_job_news(tx, job_news(name=name), CONFIG)
        hosts.enrol(tx, "host-a", "aht_x")
        claims.reserve(tx, [busy])
        known = hosts.get_host(tx.connection, "host-a")
        assert known is not None
        apply_report(tx, known, a_report((idle(0),), ended=(the_end(busy, tail=said, exit=0),)), {})

    write(store, work)
    lines = read(store, lambda connection: journal.newest(connection, 20, host="host-a"))
    told = [line.entry.evidence["cause"] for line in lines if "cause" in line.entry.evidence]
    assert told == [cause]
