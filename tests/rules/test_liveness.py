"""The joined views: every combination has a verdict, and none leads to harm (R28, R33, R35, R39)."""

from itertools import product
from pathlib import Path

import pytest

from andon.rules.liveness import VIEWS, Follows, GitHubView, Heartbeat, ProcessView, judge

ALL = list(product(GitHubView, ProcessView, Heartbeat))


@pytest.mark.parametrize(("github", "process", "heartbeat"), ALL)
def test_every_combination_has_a_row(github: GitHubView, process: ProcessView, heartbeat: Heartbeat) -> None:
    assert judge(github, process, heartbeat).reason != "no row of the table holds"


def test_every_row_decides_something() -> None:
    found = {id(judge(*each)) for each in ALL}
    assert [row.verdict.name for row in VIEWS if id(row.verdict) not in found] == []


@pytest.mark.parametrize(("github", "process", "heartbeat"), ALL)
def test_no_verdict_leads_to_harm(github: GitHubView, process: ProcessView, heartbeat: Heartbeat) -> None:
    verdict = judge(github, process, heartbeat)
    if github is GitHubView.BUSY:
        assert verdict.follows in (Follows.NOTHING, Follows.WAIT), "GitHub has a job on it (R28)"
    if heartbeat is not Heartbeat.FRESH and process is not ProcessView.GONE:
        assert verdict.follows is Follows.WAIT, "unknown is neither down nor dead (R35, R39)"
    if verdict.follows is Follows.REMOVE:
        assert (github, process) == (GitHubView.OFFLINE, ProcessView.GONE), "two sources, both positive (R30)"
    if process in (ProcessView.STARTING, ProcessView.RUNNING, ProcessView.STOPPING):
        assert verdict.follows in (Follows.NOTHING, Follows.WAIT)


@pytest.mark.parametrize(
    ("github", "process", "heartbeat", "name"),
    [
        (GitHubView.BUSY, ProcessView.RUNNING, Heartbeat.FRESH, "working"),
        (GitHubView.ONLINE, ProcessView.LISTENING, Heartbeat.FRESH, "idle"),
        # N1: the service runs on the machine and GitHub calls it offline.
        (GitHubView.OFFLINE, ProcessView.LISTENING, Heartbeat.FRESH, "cut_off"),
        (GitHubView.OFFLINE, ProcessView.UNKNOWN, Heartbeat.STALE, "unreachable"),
        (GitHubView.OFFLINE, ProcessView.UNKNOWN, Heartbeat.UNKNOWN, "unheard"),
        # Lost assignment: it prints "Listening" and is not in the API any more (limits.md 5, mode 4).
        (GitHubView.ABSENT, ProcessView.LISTENING, Heartbeat.FRESH, "lost"),
        (GitHubView.BUSY, ProcessView.GONE, Heartbeat.FRESH, "busy_after_end"),
        (GitHubView.OFFLINE, ProcessView.GONE, Heartbeat.FRESH, "stale"),
        (GitHubView.UNKNOWN, ProcessView.UNKNOWN, Heartbeat.FRESH, "expected"),
    ],
)
def test_named_verdicts(github: GitHubView, process: ProcessView, heartbeat: Heartbeat, name: str) -> None:
    assert judge(github, process, heartbeat).name == name


def test_the_documentation_shows_the_table_as_it_is() -> None:
    shown = (Path(__file__).parents[2] / "docs" / "liveness.md").read_text(encoding="utf-8")
    told = [line.rsplit("| `", 1)[1] for line in shown.splitlines() if "| `" in line]
    assert told == [f"{r.verdict.name}` | {r.verdict.follows.value} | {r.verdict.reason} |" for r in VIEWS]
