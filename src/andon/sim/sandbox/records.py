"""The things the sandbox holds: repositories, runs, attempts, jobs, runners and their sessions.

They change in place; only `job_life`, `binding`, `execution` and `runners` change them.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from andon.runtime.loop import Nudge
from andon.sim.sandbox.run_spec import JobSpec


class Stage(StrEnum):
    """Where a job is. GitHub's words, and one more for a job that GitHub does not show yet."""

    BLOCKED = "blocked"
    """Its `needs` are not met: it exists for the control endpoints only."""
    WAITING = "waiting"
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a job's true history."""

    at: datetime
    what: str
    """A stage, or `assigned` / `unassigned` / `cancel_requested`."""
    runner: str | None = None
    conclusion: str | None = None
    reason: str | None = None


class Repository(msgspec.Struct, kw_only=True, eq=False):
    id: int
    owner: str
    name: str
    owner_id: int
    private: bool
    default_branch: str
    runs: "dict[int, Run]" = {}
    """In the order of making."""
    open_runs: "dict[int, Run]" = {}
    """Those of `runs` that are not completed."""
    workflows: dict[str, int] = {}
    run_numbers: dict[str, int] = {}
    last_number: int = 0
    """Of issues and pull requests, which are numbered together."""
    shown: dict[str, msgspec.Raw] = {}
    """Encoded JSON of this repository, which hardly changes, by the base address in it."""

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def key(self) -> str:
        """The name as a key: GitHub's names ignore case."""
        return self.full_name.lower()

    @property
    def owner_key(self) -> str:
        return self.owner.lower()

    def __repr__(self) -> str:
        return f"<repository {self.full_name}>"


class Attempt(msgspec.Struct, kw_only=True, eq=False):
    """One attempt of a run, with all jobs it has, those carried over included."""

    number: int
    started_at: datetime
    updated_at: datetime
    actor: str
    jobs: "list[Job]" = []
    status: str = "queued"
    conclusion: str | None = None
    counts: dict[Stage, int] = {}
    conclusions: dict[str, int] = {}
    begun: bool = False
    """A job of this attempt was in progress at some time."""
    told_in_progress: bool = False
    cancel_requested: bool = False
    failed_to_start: bool = False
    """The run is over while its jobs say queued (a fault)."""

    def __repr__(self) -> str:
        return f"<attempt {self.number} {self.status}>"


class Run(msgspec.Struct, kw_only=True, eq=False):
    id: int
    repository: Repository
    workflow: str
    workflow_id: int
    number: int
    event: str
    branch: str
    sha: str
    actor: str
    title: str
    fork: str | None
    """The login whose fork the commit comes from."""
    pull_request: int | None
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: list[Attempt] = []

    @property
    def latest(self) -> Attempt:
        return self.attempts[-1]

    def __repr__(self) -> str:
        return f"<run {self.id} of {self.repository.full_name}>"


class RunnerGroup(msgspec.Struct, kw_only=True, eq=False):
    id: int
    name: str
    owner: str | None
    """The key of the organisation it belongs to; None for the default group, which all have."""
    visibility: str = "all"
    allows_public: bool = False


class Assignment(msgspec.Struct, kw_only=True, eq=False):
    """A job offered to a runner that has not taken it yet."""

    runner: "Runner"
    since: datetime
    delivered: bool = False
    lost_status: int | None = None
    """What a runner that takes it is answered, when a fault loses the assignment."""


class Job(msgspec.Struct, kw_only=True, eq=False):
    id: int
    run: Run
    attempt: Attempt
    spec: JobSpec
    wanted: frozenset[str]
    """The labels it asks for, in lower case."""
    made_at: datetime
    stage: Stage = Stage.BLOCKED
    conclusion: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    gate_updated_at: datetime | None = None
    steps: list[dict[str, Any]] = []
    unmet: int = 0
    dependants: "list[Job]" = []
    turn: int = 0
    """Its place in the queue; kept when it is queued again."""
    assignment: Assignment | None = None
    runner: "Runner | None" = None
    """Who took it; stays after the end."""
    locked_until: datetime | None = None
    cancel_requested: bool = False
    cancel_delivered: bool = False
    log: bytes | None = None
    history: list[Change] = []
    limbo: str | None = None
    """Why it is offered to nobody, though it is queued (a fault)."""
    for_ever: bool = False
    """GitHub does not end it, but on force-cancel (a fault)."""
    renewable: bool = True
    """Whether renewals keep its lock (not when a fault starves its listener)."""
    settling: bool = False
    """Its runner ended it and GitHub has not noticed yet (a fault)."""
    shown_as: Stage | None = None
    """What GitHub shows instead of its stage (a fault)."""
    shown_for_s: float | None = None
    """How long that goes on after its end."""
    to_play: Mapping[str, Any] | None = None
    """What the stand-in runner is asked to play with this job (a fault)."""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def is_held_by_a_fault(self) -> bool:
        """Whether GitHub itself offers it to nobody."""
        return self.limbo is not None or self.attempt.failed_to_start

    def __repr__(self) -> str:
        return f"<job {self.id} {self.name!r} {self.stage}>"


class Session(msgspec.Struct, kw_only=True, eq=False):
    """A connected listener."""

    id: str
    runner: "Runner"
    last_seen: datetime
    nudge: Nudge
    polls_held: int = 0
    poll_turn: int = 0
    """Only the newest poll gets messages; an older one was given up by its caller."""
    listening: bool = True
    """Whether it may be offered a job: not after it let one pass, until it polls again."""
    watched: bool = False

    def __repr__(self) -> str:
        return f"<session of {self.runner.name}>"


class Runner(msgspec.Struct, kw_only=True, eq=False):
    id: int
    scope: str
    """Key of what it is registered at: `owner/name`, or `owner` for the whole organisation."""
    name: str
    labels: tuple[str, ...]
    offers: frozenset[str]
    """Its labels in lower case."""
    group_id: int
    group_name: str
    work_folder: str
    ephemeral: bool
    token: str
    registered_at: datetime
    os: str = "unknown"
    version: str | None = None
    session: Session | None = None
    assigned: Job | None = None
    job: Job | None = None
    seen_at: datetime | None = None
    served: list[int] = []
    sessions_opened: int = 0
    removed_at: datetime | None = None
    removed_reason: str | None = None
    listed_at: datetime | None = None
    """Not in the list of runners before (a fault)."""
    stuck_with: Job | None = None
    """The queued job that its worker hangs on (a fault)."""
    outlived_by: Session | None = None
    """The session that goes on though the registration is gone (a fault)."""
    told_to_exit: bool = False

    @property
    def is_idle(self) -> bool:
        """Online, listening, and free to be offered a job."""
        return (
            self.session is not None
            and self.session.listening
            and self.assigned is None
            and self.job is None
            and self.stuck_with is None
            and self.removed_at is None
        )

    def __repr__(self) -> str:
        return f"<runner {self.id} {self.name!r} at {self.scope}>"
