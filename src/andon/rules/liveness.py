"""What three views of one runner say together: GitHub's list, its process, its host's heartbeat (R35).

The table is data: the first row whose facts all hold names the verdict. What a host does not tell,
because it is silent or too old to know (R39), is unknown: nothing is concluded from it, least of all
that the runner is down. While GitHub says busy, nothing here leads to more than waiting (R28).
"""

from enum import StrEnum

import msgspec


class GitHubView(StrEnum):
    """What GitHub shows of the registration."""

    ONLINE = "online"
    BUSY = "busy"
    OFFLINE = "offline"
    ABSENT = "absent"
    """A whole list was read, and the name is not in it. New ones may come late into it."""
    UNKNOWN = "unknown"
    """Never read, or too long ago."""


class ProcessView(StrEnum):
    """What the agent says of the runner's process."""

    STARTING = "starting"
    LISTENING = "listening"
    RUNNING = "running"
    STOPPING = "stopping"
    GONE = "gone"
    """Its end was reported."""
    UNKNOWN = "unknown"
    """Not reported, or by a host that has fallen silent since."""


class Heartbeat(StrEnum):
    """What we hear of the host."""

    FRESH = "fresh"
    STALE = "stale"
    """It reported once and is silent now."""
    UNKNOWN = "unknown"
    """It never reported, or is not known any more."""


class Follows(StrEnum):
    """What a verdict leads to, and who does it."""

    NOTHING = "nothing"
    """All views agree."""
    WAIT = "wait"
    """The views differ as they do in passing; the claim's deadline bounds it (loop:claims)."""
    ASK = "ask"
    """GitHub is asked about job and runner at the claim's deadline, before anything is given up (loop:claims)."""
    REMOVE = "remove"
    """The registration is removed after its grace time, when its claim is over (loop:liveness)."""
    RESTART = "restart"
    """Adopted runners only: its agent starts the listener again, with back-off (R37)."""
    NOT_COUNTED = "not_counted"
    """Adopted runners only: no work is left to it, and nothing of it is ended."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict's name, what follows, and why."""

    name: str
    follows: Follows
    reason: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the facts it needs (None: any), and its verdict."""

    github: frozenset[GitHubView] | None
    process: frozenset[ProcessView] | None
    heartbeat: frozenset[Heartbeat] | None
    verdict: Verdict


def _row(
    github: set[GitHubView] | None,
    process: set[ProcessView] | None,
    heartbeat: set[Heartbeat] | None,
    name: str,
    follows: Follows,
    reason: str,
) -> Row:
    return Row(
        github=frozenset(github) if github else None,
        process=frozenset(process) if process else None,
        heartbeat=frozenset(heartbeat) if heartbeat else None,
        verdict=Verdict(name=name, follows=follows, reason=reason),
    )


_G, _P, _H, _F = GitHubView, ProcessView, Heartbeat, Follows

VIEWS: tuple[Row, ...] = (
    # GitHub says that it has a job: nothing is touched, whatever the others say.
    _row({_G.BUSY}, {_P.GONE}, None, "busy_after_end", _F.WAIT, "GitHub has a job on it, and its process has ended"),
    _row(
        {_G.BUSY}, None, {_H.STALE, _H.UNKNOWN}, "busy_unheard", _F.WAIT, "GitHub has a job on it; its host is silent"
    ),
    _row({_G.BUSY}, {_P.RUNNING}, None, "working", _F.NOTHING, "GitHub and the process say that it runs a job"),
    _row({_G.BUSY}, {_P.STOPPING}, None, "busy_stopping", _F.WAIT, "GitHub gave it a job while it is being ended"),
    _row(
        {_G.BUSY}, {_P.UNKNOWN}, None, "busy_unseen", _F.WAIT, "GitHub has a job on it; its host shows no such process"
    ),
    _row({_G.BUSY}, None, None, "taking", _F.WAIT, "GitHub gave it a job that its process has not told of yet"),
    # A reported end stands, whatever becomes of the host.
    _row(
        {_G.ONLINE}, {_P.GONE}, None, "online_after_end", _F.ASK, "its process has ended, and GitHub has yet to see it"
    ),
    _row({_G.OFFLINE}, {_P.GONE}, None, "stale", _F.REMOVE, "its process has ended; the registration is left over"),
    _row({_G.ABSENT}, {_P.GONE}, None, "over", _F.NOTHING, "its process has ended and GitHub does not list it"),
    _row({_G.UNKNOWN}, {_P.GONE}, None, "ended", _F.ASK, "its process has ended; GitHub has not been read since"),
    # An unreachable host is unknown, not down; a host without the feature is unknown, not dead.
    _row(None, None, {_H.STALE}, "unreachable", _F.WAIT, "its host is silent: unknown, not down"),
    _row(None, None, {_H.UNKNOWN}, "unheard", _F.WAIT, "its host has not told of it: unknown, not dead"),
    _row(None, {_P.STOPPING}, None, "stopping", _F.WAIT, "its process is being ended"),
    _row({_G.ONLINE}, {_P.LISTENING}, None, "idle", _F.NOTHING, "online, and it listens for a job"),
    _row({_G.ONLINE}, {_P.STARTING}, None, "coming_up", _F.WAIT, "GitHub sees it before it said that it listens"),
    _row(
        {_G.ONLINE}, {_P.RUNNING}, None, "job_unconfirmed", _F.WAIT, "its process runs a job that GitHub shows not yet"
    ),
    _row({_G.ONLINE}, {_P.UNKNOWN}, None, "online_unseen", _F.ASK, "GitHub sees it; its host shows no such process"),
    _row({_G.OFFLINE}, {_P.STARTING}, None, "starting", _F.WAIT, "its process lives and has not connected yet"),
    _row({_G.OFFLINE}, {_P.LISTENING}, None, "cut_off", _F.ASK, "it says that it listens, and GitHub calls it offline"),
    _row({_G.OFFLINE}, {_P.RUNNING}, None, "cut_off_running", _F.WAIT, "it runs a job, and GitHub calls it offline"),
    _row({_G.OFFLINE}, {_P.UNKNOWN}, None, "never_came_up", _F.ASK, "offline, and its host shows no such process"),
    _row({_G.ABSENT}, {_P.STARTING}, None, "starting", _F.WAIT, "its process lives; GitHub may list it late"),
    _row({_G.ABSENT}, {_P.LISTENING}, None, "lost", _F.ASK, "it says that it listens, and GitHub does not list it"),
    _row({_G.ABSENT}, {_P.RUNNING}, None, "running_unlisted", _F.WAIT, "it runs a job, and GitHub does not list it"),
    _row({_G.ABSENT}, {_P.UNKNOWN}, None, "nowhere", _F.ASK, "GitHub does not list it, and its host shows no process"),
    _row({_G.UNKNOWN}, {_P.STARTING}, None, "starting", _F.WAIT, "its process lives; GitHub has not been read since"),
    _row({_G.UNKNOWN}, {_P.LISTENING}, None, "listening", _F.WAIT, "it listens; GitHub has not been read since"),
    _row(
        {_G.UNKNOWN},
        {_P.RUNNING},
        None,
        "job_unconfirmed",
        _F.WAIT,
        "its process runs a job; GitHub was not read since",
    ),
    _row({_G.UNKNOWN}, {_P.UNKNOWN}, None, "expected", _F.WAIT, "registered, and nobody has seen it start"),
)


def judge(github: GitHubView, process: ProcessView, heartbeat: Heartbeat) -> Verdict:
    """The first row that holds. Every combination has one (a test counts them)."""
    for row in VIEWS:
        if (
            (row.github is None or github in row.github)
            and (row.process is None or process in row.process)
            and (row.heartbeat is None or heartbeat in row.heartbeat)
        ):
            return row.verdict
    return Verdict(name="unknown", follows=Follows.WAIT, reason="no row of the table holds")


def judge_adopted(github: GitHubView, process: ProcessView, heartbeat: Heartbeat) -> Verdict:
    """The same for a persistent runner that its owner brought along: it has no claim, and is not ours to remove.

    `process` is its listener's, or its job's while one lives.
    """
    if process is ProcessView.GONE and github is not GitHubView.BUSY:
        reason = "its listener does not run"
        return Verdict(name="listener_down", follows=Follows.RESTART, reason=reason)
    found = judge(github, process, heartbeat)
    if found.follows in (Follows.ASK, Follows.REMOVE):
        return Verdict(name=found.name, follows=Follows.NOT_COUNTED, reason=found.reason)
    return found
