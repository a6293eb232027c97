"""What GitHub sent while the control plane was away arrives after it is back, asked for once each (R5, T6)."""

import signal
from pathlib import Path
from typing import Any

from tests.support.fleet import LABELS, Stage, a_fleet, wait_for


def sent(stage: Stage) -> dict[str, list[dict[str, Any]]]:
    """By GUID, every try of what GitHub made."""
    return {each["guid"]: each["attempts"] for each in stage.truth()["deliveries"]}


def arrived(stage: Stage) -> set[str]:
    items = stage.ask("/api/v1/deliveries?limit=500")["items"]
    return {item["guid"] for item in items if item["state"] in ("applied", "ignored")}


def failed(stage: Stage) -> list[str]:
    return [
        guid
        for guid, tries in sent(stage).items()
        if tries[0]["status_code"] is not None and tries[0]["status_code"] >= 300
    ]


def test_what_was_sent_during_an_outage_arrives_after_it(tmp_path: Path) -> None:
    with a_fleet(tmp_path, hosts=1, slots=2) as stage:
        stage.control.end(signal.SIGKILL)
        for number in range(3):
            stage.run([{"name": f"job {number}", "labels": LABELS, "steps": [{"run": "true"}]}])
        lost = wait_for("deliveries have failed", lambda: failed(stage) if len(failed(stage)) >= 6 else None)
        stage.start_control()
        wait_for("everything has arrived", lambda: set(lost) <= arrived(stage), seconds=90, every=0.5)
        assert {len(tries) for guid, tries in sent(stage).items() if guid in lost} == {2}, "asked for once each"
        requested = [
            line for line in stage.ask("/api/v1/journal?limit=500")["items"] if line["kind"] == "delivery.requested"
        ]
        assert sorted(line["subject"]["id"] for line in requested) == sorted(lost)
