"""Why a runner ended, in a name: exit code, signal and known lines of its output (R34, contract section 6).

The table is data: the first row that fits decides. A job's name is left out, for
a job may be called anything. What no row fits stays "unknown": a guess would hide the next cause.
"""

from enum import StrEnum

import msgspec

from andon.model.claim_states import RECLAIMED, ClaimState
from andon.model.nouns import Claim


class Whose(StrEnum):
    """Who can put a cause right."""

    OURS = "ours"
    """Andon, or the host it runs on."""
    GITHUB = "github"
    OWNER = "owner"
    """Whoever owns the host, the runner program or its configuration."""
    NOBODY = "nobody"
    """Nothing is wrong."""
    UNKNOWN = "unknown"


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """A named cause."""

    name: str
    whose: Whose
    sentence: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row: what it needs (empty or None: any), and the cause."""

    phrases: tuple[str, ...] = ()
    """One of them stands in the output; case does not matter."""
    exits: frozenset[int] | None = None
    signals: frozenset[int] | None = None
    unseen: bool = False
    """Neither exit code nor signal is known."""
    given_up: bool = False
    """Its claim had been given up, or its slot reclaimed, before it ended."""
    cause: Cause


def _row(
    name: str,
    whose: Whose,
    sentence: str,
    *phrases: str,
    exits: set[int] | None = None,
    signals: set[int] | None = None,
    unseen: bool = False,
    given_up: bool = False,
) -> Row:
    return Row(
        phrases=phrases,
        exits=frozenset(exits) if exits is not None else None,
        signals=frozenset(signals) if signals is not None else None,
        unseen=unseen,
        given_up=given_up,
        cause=Cause(name=name, whose=whose, sentence=sentence),
    )


_W = Whose

CAUSES: tuple[Row, ...] = (
    # What the runner says of its own end weighs more than its exit code: run.sh turns 1, 5 and unknown ones into 0.
    _row(
        "version_deprecated",
        _W.OWNER,
        "GitHub gives no jobs to this version of the runner program any more; install a newer one.",
        "is deprecated and cannot receive messages",
    ),
    _row(
        "registration_deleted",
        _W.GITHUB,
        "Its registration was deleted at GitHub while it lived.",
        "registration has been deleted from the server",
        "Runner not found",
    ),
    # The agent's own words, of a start that it refused.
    _row(
        "disk_short",
        _W.OWNER,
        "A disk of its host had too little room left for a job, so it was not started.",
        "must be before a job begins here",
        exits={126},
    ),
    _row(
        "start_refused",
        _W.OWNER,
        "What every start needs could not be done on its slot, so it was not started.",
        "No runner can start on this slot",
        exits={126},
    ),
    _row(
        "disk_full",
        _W.OWNER,
        "The host's disk was full.",
        "You are running out of disk space",
        "No space left on device",
    ),
    _row("host_shutdown", _W.OWNER, "The host was shut down.", "Operating system is shutting down"),
    _row("host_restarted", _W.OWNER, "The host was restarted under it.", "ended: the host was restarted"),
    _row(
        "shim_ended",
        _W.OURS,
        "The program that watches it was ended before it, so nobody saw its end.",
        "ended: its shim was ended before it",
    ),
    _row("never_started", _W.OURS, "Its start was broken off.", "ended: its start was broken off"),
    _row("shutdown_signal", _W.OWNER, "It was told to shut down.", "The runner has received a shutdown signal"),
    _row(
        "lost_communication",
        _W.GITHUB,
        "GitHub and the runner lost each other while a job ran.",
        "lost communication with the server",
    ),
    _row(
        "job_not_acquired", _W.GITHUB, "The job offered to it was gone when it took it.", "job not acquired by Runner"
    ),
    _row("served", _W.NOBODY, "It ran its job and ended by itself.", "Running job:", exits={0, 100, 102, 103}),
    # Our order, after GitHub had agreed that it served nothing.
    _row("stopped", _W.OURS, "Andon ended it: its claim had been given up.", given_up=True),
    # These are tried again for minutes: who then ran a job got over them.
    _row(
        "session_conflict",
        _W.OURS,
        "Another process held a session of this runner.",
        "A session for this runner already exists",
    ),
    _row(
        "clock_wrong",
        _W.OWNER,
        "GitHub refused it because the host's clock is more than five minutes off.",
        "clock may be out of sync",
    ),
    _row(
        "no_connection",
        _W.OWNER,
        "It could not reach GitHub, or lost it.",
        "Runner connect error",
        "Retrying until reconnected",
    ),
    # Exit codes of Runner.Listener.
    _row("ended_idle", _W.GITHUB, "It ended in good order without a job.", exits={0}),
    _row("terminated", _W.OWNER, "It gave up with an error that trying again does not mend.", exits={1}),
    _row("retryable", _W.GITHUB, "It gave up with an error that may pass.", exits={2}),
    _row("updating", _W.GITHUB, "It ended to update itself.", exits={3, 4}),
    _row("session_conflict", _W.OURS, "Another process held a session of this runner.", exits={5}),
    _row("configuration_refreshed", _W.GITHUB, "It ended to take over a new configuration.", exits={6}),
    _row("version_deprecated", _W.OWNER, "GitHub gives no jobs to this version of it any more.", exits={7}),
    # Exit codes of Runner.Worker: 100 and the job's result.
    _row("served", _W.NOBODY, "Its worker ended with the job.", exits={100, 102, 103}),
    # What shells and the agent give.
    _row("cannot_start", _W.OWNER, "The command of its slot could not be run.", exits={126, 127}),
    _row("interrupted", _W.OWNER, "It was interrupted (SIGINT).", signals={2}),
    _row("interrupted", _W.OWNER, "It was interrupted (SIGINT).", exits={130}),
    _row("asked_to_end", _W.OWNER, "It was asked to end (SIGTERM).", signals={15}),
    _row("asked_to_end", _W.OWNER, "It was asked to end (SIGTERM).", exits={143}),
    _row("ended_by_force", _W.OWNER, "It was ended by SIGKILL: out of memory, or by somebody.", signals={9}),
    _row("ended_by_force", _W.OWNER, "It was ended by SIGKILL: out of memory, or by somebody.", exits={137}),
    _row("crashed", _W.GITHUB, "The runner program crashed.", signals={4, 6, 7, 8, 11}),
    _row("crashed", _W.GITHUB, "The runner program crashed.", exits={132, 134, 135, 136, 139}),
    _row("unseen", _W.OURS, "Nobody saw how it ended.", unseen=True),
)
UNKNOWN = Cause(name="unknown", whose=Whose.UNKNOWN, sentence="No known cause fits; its last lines may tell.")
_RAN = "Running job:"
"""What stands behind these words is the job's name: hostile text, which may hold whole lines of a log."""
_OWN_WORDS = "andon: nobody saw how this runner ended"
"""The agent's last line, where it had to find out by itself."""
_CUT = 4000
"""Bytes: an agent reports the last 4 KiB (cut between characters), and so long a tail may begin within a line."""


def cause_of_claim(claim: Claim, job: str | None = None) -> Cause | None:
    """The cause of the end of a claim's runner; None: no end was reported. `job`: as in `cause_of`."""
    if claim.ended_at is None:
        return None
    over = claim.state is ClaimState.RELEASED or claim.reason == RECLAIMED
    given_up = over and claim.since < claim.ended_at
    return cause_of(claim.exit, claim.signal, claim.tail, given_up=given_up, job=job)


def cause_of(
    exit: int | None, signal: int | None, tail: str | None, *, given_up: bool = False, job: str | None = None
) -> Cause:
    """The cause of a runner's end, from what its agent reported of it.

    `given_up`: its claim was released before, so that its end was ordered. `job`: the name of the job that
    GitHub bound to it; without it nothing counts that was said after the runner took one, for nobody can tell
    where the name ends.
    """
    said = _trusted(_whole_lines(tail or ""), job, unseen=exit is None and not signal).lower()
    for row in CAUSES:
        if (
            (not row.phrases or any(phrase.lower() in said for phrase in row.phrases))
            and (row.exits is None or (exit in row.exits and not signal))
            and (row.signals is None or signal in row.signals)
            and (not row.unseen or (exit is None and not signal))
            and (not row.given_up or given_up)
        ):
            return row.cause
    return UNKNOWN


def says_more_with_its_job(tail: str | None) -> bool:
    """Whether the job's name is needed to read what the runner said after it took one."""
    _, ran, after = (tail or "").partition(_RAN)
    return bool(ran) and any(phrase.lower() in after.lower() for row in CAUSES for phrase in row.phrases)


def _trusted(said: str, job: str | None, *, unseen: bool) -> str:
    """What the runner and the agent said themselves, without what a job is called."""
    before, ran, after = said.partition(_RAN)
    if not ran:
        return said
    own = ""
    last = said.rstrip("\n").rpartition("\n")[2]
    if unseen and last.startswith(_OWN_WORDS):
        own = last
    name = None if job is None else "".join(char for char in job if char >= " " or char in "\n\t").strip()
    if not name or not after.startswith(f" {name}\n"):
        return f"{before}{_RAN}\n{own}"
    return f"{before}{_RAN}\n" + after[len(name) + 2 :].replace(f"Job {name} completed with result", "")


def _whole_lines(tail: str) -> str:
    """Without a first line whose beginning was cut off: it may be the rest of a job's name."""
    return tail if len(tail.encode("utf-8", "replace")) < _CUT else tail.partition("\n")[2]
