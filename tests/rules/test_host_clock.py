"""A wrong clock closes a host, a right one opens it again, and a person's cordon stays."""

from datetime import timedelta

import pytest

from andon.model.host_states import HostObserved, Intent
from andon.model.nouns import Host
from andon.rules.host_clock import BECAUSE, judge_clock
from tests.support.builders import START

OURS = f"{BECAUSE}612 s ahead of the control plane's"


def a_host(intent: Intent, reason: str | None = None) -> Host:
    return Host(
        name="host-a",
        intent=intent,
        observed=HostObserved.REPORTING,
        reason=reason,
        last_seen=START,
        version="1",
        boot_id="b",
        seq=1,
        enrolled_at=START,
    )


@pytest.mark.parametrize(
    ("intent", "reason", "off_s", "event"),
    [
        (Intent.OPEN, None, 0, None),
        (Intent.OPEN, None, 300, None),
        (Intent.OPEN, None, 301, "cordon"),
        (Intent.OPEN, None, -301, "cordon"),
        (Intent.CORDONED, OURS, 600, None),
        (Intent.CORDONED, OURS, 200, None),
        (Intent.CORDONED, OURS, -100, "uncordon"),
        (Intent.CORDONED, OURS, 0, "uncordon"),
        (Intent.CORDONED, "its disk is swapped", 0, None),
        (Intent.CORDONED, None, 0, None),
        (Intent.DRAINING, OURS, 0, None),
        (Intent.QUARANTINED, None, 600, None),
    ],
)
def test_what_a_clock_does(intent: Intent, reason: str | None, off_s: int, event: str | None) -> None:
    verdict = judge_clock(a_host(intent, reason), timedelta(seconds=off_s))
    assert (verdict.event if verdict else None) == event


def test_the_reason_says_how_far_off_and_which_way() -> None:
    ahead = judge_clock(a_host(Intent.OPEN), timedelta(seconds=612))
    behind = judge_clock(a_host(Intent.OPEN), timedelta(seconds=-612))
    assert ahead and behind
    assert "612 s ahead of the control plane's" in ahead.reason
    assert "612 s behind the control plane's" in behind.reason
