"""The table of what can go wrong on purpose: each kind's name, what it befalls, and when.

`GET /_sandbox/faults` and docs/sandbox.md list it. A new kind is a line here and a few lines at the
place that it befalls. "Mode n" is a runner failure mode on public record (limits.md section 5).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

import msgspec

Befalls = Literal["delivery", "call", "job", "runner"]


class Moment(StrEnum):
    """When a fault may strike; its probability is rolled once at that moment."""

    DELIVERY_MADE = "a delivery is made"
    CALL_MADE = "an API call arrives"
    RUN_MADE = "a run starts"
    JOB_QUEUED = "a job is queued"
    JOB_BOUND = "a runner is picked for a job, or a job for a runner"
    JOB_OFFERED = "a job is offered to a runner"
    JOB_ACQUIRED = "a runner takes its job"
    JOB_ENDED = "a runner ends its job"
    RUNNER_MADE = "a runner is registered"
    RUNNER_CONNECTED = "a listener connects"


class FaultKind(StrEnum):
    DELIVERY_LOST = "delivery_lost"
    DELIVERY_NEVER_CREATED = "delivery_never_created"
    DELIVERY_DOUBLED = "delivery_doubled"
    DELIVERY_DELAYED = "delivery_delayed"
    DELIVERY_REORDERED = "delivery_reordered"
    DELIVERY_AFTER_COMPLETED = "delivery_after_completed"
    API_ERROR = "api_error"
    API_SLOW = "api_slow"
    API_REPLY_LOST = "api_reply_lost"
    API_RATE_LIMITED = "api_rate_limited"
    API_SECONDARY_LIMIT = "api_secondary_limit"
    API_TOKEN_EXPIRED = "api_token_expired"
    API_MALFORMED = "api_malformed"
    MINT_REPLY_LOST = "mint_reply_lost"
    JOB_SHUFFLED = "job_shuffled"
    RUNNER_VANISHES = "runner_vanishes"
    ASSIGNMENT_LOST = "assignment_lost"
    WORKER_HANGS = "worker_hangs"
    JOB_LOST_COMMUNICATION = "job_lost_communication"
    JOB_STATUS_STUCK = "job_status_stuck"
    JOB_SHOWN_QUEUED = "job_shown_queued"
    LOCK_LOST = "lock_lost"
    JOB_NEVER_BOUND = "job_never_bound"
    JOB_QUEUED_FOREVER = "job_queued_forever"
    JOB_NEVER_COMPLETED = "job_never_completed"
    RUN_STARTUP_FAILURE = "run_startup_failure"
    RUNNER_LISTED_LATE = "runner_listed_late"
    RUNNER_DEPRECATED = "runner_deprecated"


class KindFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a kind does, to what, when, and what `seconds` means for it."""

    befalls: Befalls
    moment: Moment
    explanation: str
    default_seconds: float | None = None
    random_seconds: tuple[float, float] | None = None
    """Without `seconds`, chance picks a time from this range."""
    endpoint: str | None = None
    """The endpoint that the kind befalls when `match` names none."""


def _delivery(explanation: str, seconds: float | None = None) -> KindFacts:
    return KindFacts(befalls="delivery", moment=Moment.DELIVERY_MADE, explanation=explanation, default_seconds=seconds)


def _call(explanation: str, seconds: float | None = None, endpoint: str | None = None) -> KindFacts:
    return KindFacts(
        befalls="call",
        moment=Moment.CALL_MADE,
        explanation=explanation,
        default_seconds=seconds,
        endpoint=endpoint,
    )


def _job(
    moment: Moment, explanation: str, seconds: float | None = None, between: tuple[float, float] | None = None
) -> KindFacts:
    return KindFacts(
        befalls="job", moment=moment, explanation=explanation, default_seconds=seconds, random_seconds=between
    )


def _runner(
    moment: Moment, explanation: str, seconds: float | None = None, between: tuple[float, float] | None = None
) -> KindFacts:
    return KindFacts(
        befalls="runner", moment=moment, explanation=explanation, default_seconds=seconds, random_seconds=between
    )


KINDS: Mapping[FaultKind, KindFacts] = {
    FaultKind.DELIVERY_LOST: _delivery(
        "The delivery never arrives; the delivery log shows it as failed, so it can be redelivered."
    ),
    FaultKind.DELIVERY_NEVER_CREATED: _delivery(
        "GitHub never makes the delivery: it is in no log; only a sweep of runs and jobs finds it out (modes 6 and 9)."
    ),
    FaultKind.DELIVERY_DOUBLED: _delivery(
        "The delivery is sent twice with the same GUID, the second time `seconds` later (mode 9).", 0.0
    ),
    FaultKind.DELIVERY_DELAYED: _delivery("The delivery is sent `seconds` late.", 30.0),
    FaultKind.DELIVERY_REORDERED: _delivery(
        "The delivery is held back until one to three later ones of its hook were sent, at most `seconds`.", 5.0
    ),
    FaultKind.DELIVERY_AFTER_COMPLETED: _delivery(
        "A job's delivery is held back until its `completed` was sent, at most `seconds` (mode 9).", 3600.0
    ),
    FaultKind.API_ERROR: _call(
        "The call is not carried out but answered with `status` (502); `seconds` becomes Retry-After."
    ),
    FaultKind.API_SLOW: _call("The call is carried out after `seconds`.", 5.0),
    FaultKind.API_REPLY_LOST: _call(
        "The call is carried out; after `seconds` a 504 (or `status`) comes instead of its answer.", 0.0
    ),
    FaultKind.API_RATE_LIMITED: _call(
        "The call is refused with 429 (or `status`) and Retry-After `seconds`, and so is every call of the same "
        "caller until then.",
        60.0,
    ),
    FaultKind.API_SECONDARY_LIMIT: _call(
        "The call is refused with 403 (or `status`), the words of a secondary limit and Retry-After `seconds`, and so "
        "is every call of the same caller until then.",
        60.0,
    ),
    FaultKind.API_TOKEN_EXPIRED: _call(
        "The call is refused with 401; an installation's token stays refused from then on, any other only this once."
    ),
    FaultKind.API_MALFORMED: _call("The call is carried out; its answer is cut in the middle of the JSON."),
    FaultKind.MINT_REPLY_LOST: _call(
        "A runner is registered, but a 504 comes instead of its config: asked again, its name exists (mode 1).",
        0.0,
        "/actions/runners/generate-jitconfig",
    ),
    FaultKind.JOB_SHUFFLED: _job(
        Moment.JOB_BOUND, "Chance binds the job to one of the fitting runners, also with the shuffle off (mode 2)."
    ),
    FaultKind.RUNNER_VANISHES: _runner(
        Moment.RUNNER_CONNECTED,
        "An ephemeral runner that is idle `seconds` (chance: 120 to 360) after it connected is gone from GitHub, and "
        "its listener is told to end with exit code 0 (mode 3).",
        between=(120.0, 360.0),
    ),
    FaultKind.ASSIGNMENT_LOST: _job(
        Moment.JOB_OFFERED,
        "The runner that takes the job is answered 404 (or 409 by `status`), is gone from the API and never gets a job "
        "again, yet its listener goes on; the job is queued again (mode 4).",
    ),
    FaultKind.WORKER_HANGS: _job(
        Moment.JOB_OFFERED,
        "The runner's worker hangs before it reads the job, is ended after `seconds`, and the listener exits 0; the "
        "job stays queued and bound to the dead runner until somebody cancels it (mode 5).",
        30.0,
    ),
    FaultKind.JOB_LOST_COMMUNICATION: _job(
        Moment.JOB_ENDED,
        'The job succeeded, but `seconds` later GitHub calls it failed: "lost communication" (mode 6).',
        0.0,
    ),
    FaultKind.JOB_STATUS_STUCK: _job(
        Moment.JOB_ENDED,
        "The job ended, but GitHub shows it in progress for `seconds` more (chance: 600 to 1800), its runner gone "
        "(mode 6).",
        between=(600.0, 1800.0),
    ),
    FaultKind.JOB_SHOWN_QUEUED: _job(
        Moment.JOB_ACQUIRED,
        "The job runs, but GitHub shows it queued without a runner until `seconds` after its end (chance: 600 to "
        "1800) and sends no in_progress (mode 6).",
        between=(600.0, 1800.0),
    ),
    FaultKind.LOCK_LOST: _job(
        Moment.JOB_OFFERED,
        "The listener is starved and renews nothing: after `seconds` (the lock's time) the job fails with "
        '"lost communication" while its process runs on (mode 7).',
    ),
    FaultKind.JOB_NEVER_BOUND: _job(
        Moment.JOB_QUEUED,
        "The queued job is offered to nobody, though idle runners fit; a rerun's new job is (mode 8).",
    ),
    FaultKind.JOB_QUEUED_FOREVER: _job(
        Moment.JOB_QUEUED,
        "As job_never_bound, and GitHub never gives it up: not after 24 h, not on cancel, only on force-cancel "
        "(mode 10).",
    ),
    FaultKind.JOB_NEVER_COMPLETED: _job(
        Moment.JOB_ENDED,
        "The job ended and its runner is gone, but GitHub shows it in progress for ever and tells nothing, until a "
        "force-cancel (mode 10).",
    ),
    FaultKind.RUN_STARTUP_FAILURE: _job(
        Moment.RUN_MADE,
        "The run is over at once with `startup_failure` while its jobs say queued for ever; `job` is the first job's "
        "name (mode 10).",
    ),
    FaultKind.RUNNER_LISTED_LATE: _runner(
        Moment.RUNNER_MADE, "A new runner is in the list of runners only `seconds` after it was registered.", 30.0
    ),
    FaultKind.RUNNER_DEPRECATED: _runner(
        Moment.RUNNER_CONNECTED,
        "The listener is refused with the words that its version is deprecated and cannot receive messages.",
    ),
}
