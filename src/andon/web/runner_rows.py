"""A runner as a person reads it: what GitHub, its process and its host say, and the verdict of all three (R35)."""

from datetime import datetime

import msgspec

from andon.model.claim_states import LIVE
from andon.rules.liveness import Follows, GitHubView, Heartbeat, ProcessView
from andon.store.runner_views import JoinedRunner

GITHUB = {
    GitHubView.ONLINE: "online",
    GitHubView.BUSY: "online, busy",
    GitHubView.OFFLINE: "offline",
    GitHubView.ABSENT: "not listed",
    GitHubView.UNKNOWN: "not read lately",
}
PROCESS = {
    ProcessView.STARTING: "starting",
    ProcessView.LISTENING: "listens",
    ProcessView.RUNNING: "runs a job",
    ProcessView.STOPPING: "is being ended",
    ProcessView.GONE: "gone",
    ProcessView.UNKNOWN: "unknown",
}
HEARTBEAT = {Heartbeat.FRESH: "fresh", Heartbeat.STALE: "silent", Heartbeat.UNKNOWN: "none"}
FOLLOWS = {
    Follows.NOTHING: "all agree",
    Follows.WAIT: "nothing is concluded from it yet",
    Follows.ASK: "GitHub is asked before it is given up",
    Follows.REMOVE: "the registration is removed after its grace time",
    Follows.RESTART: "its agent starts it again",
    Follows.NOT_COUNTED: "no work is left to it, and nothing of it is ended",
}


class RunnerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One runner, in words."""

    name: str
    slot: int | None
    job: int | None
    """Its claim stands for this job."""
    github: str
    github_told_at: datetime | None
    process: str
    heartbeat: str
    verdict: str
    """The row of `rules.liveness`, as words."""
    because: str
    follows: Follows
    then: str
    until: datetime | None
    """The deadline of its claim, while that is live: GitHub is asked then at the latest."""


def runner_row(runner: JoinedRunner) -> RunnerRow:
    """The runner in words."""
    claim, follows = runner.claim, runner.verdict.follows
    bounded = follows in (Follows.WAIT, Follows.ASK) and claim is not None and claim.state in LIVE
    return RunnerRow(
        name=runner.name,
        slot=claim.slot if claim is not None else runner.adopted.slot if runner.adopted is not None else None,
        job=claim.job_id if claim is not None else None,
        github=GITHUB[runner.github],
        github_told_at=runner.github_told_at,
        process=PROCESS[runner.process],
        heartbeat=HEARTBEAT[runner.heartbeat],
        verdict=runner.verdict.name.replace("_", " "),
        because=runner.verdict.reason,
        follows=follows,
        then=FOLLOWS[follows],
        until=claim.deadline if bounded and claim is not None else None,
    )
