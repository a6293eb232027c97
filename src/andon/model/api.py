"""The shapes of the read API (interfaces.md section 6): what the web gives and the commands read.

Times are RFC 3339 UTC with `Z`; durations are seconds in names that end in `_s`; unknown is null.
"""

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from andon.model.budget import BudgetView
from andon.model.caches import CacheReport
from andon.model.degraded import Degraded
from andon.model.disk import ClassTotal, GuardPass, Pinned
from andon.model.rails import RailMode
from andon.model.why import Why

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A list and where it goes on."""

    items: tuple[T, ...]
    next: str | None = None


class RunnerRef(msgspec.Struct, frozen=True, kw_only=True):
    id: int | None
    name: str


class ClaimView(msgspec.Struct, frozen=True, kw_only=True):
    """A job's live claim."""

    id: str
    state: str
    generation: int
    since: datetime
    deadline: datetime | None


class JournalLine(msgspec.Struct, frozen=True, kw_only=True):
    """A journal line; `from` and `to` are states."""

    id: str
    at: datetime
    actor: str
    kind: str
    subject: dict[str, Any]
    from_: str | None = msgspec.field(name="from")
    to: str | None
    reason: str
    mode: str
    evidence: dict[str, Any]


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job, GitHub's and our side of it."""

    id: int
    repository: str
    owner: str
    run_id: int
    attempt: int
    name: str
    workflow: str | None
    event: str | None
    branch: str | None
    sha: str
    labels: tuple[str, ...]
    pool: str | None
    status: str
    conclusion: str | None
    queued_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    runner: RunnerRef | None
    host: str | None
    slot: int | None
    fingerprint: str | None = None
    claim: ClaimView | None
    verdict: dict[str, Any] | None = None
    why: Why | None
    story: tuple[JournalLine, ...] | msgspec.UnsetType = msgspec.UNSET
    """Only in the answer for one job."""


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """One run: every attempt's jobs."""

    id: int
    repository: str
    attempts: tuple[int, ...]
    event: str | None
    fork: bool | None
    status: str | None
    conclusion: str | None
    jobs: tuple[JobView, ...]


class SlotView(msgspec.Struct, frozen=True, kw_only=True):
    """A slot of a host. `state` is idle, starting, running, draining, quarantined, unavailable or unknown.

    A slot without work that a cordon keeps from new work is unavailable: not capacity (R38).
    """

    slot: int
    kind: str
    pool: str
    state: str
    intent: str
    job: int | None
    runner: str | None
    since: datetime
    failed_starts: int = 0
    """Runners in a row that failed before they served a job."""
    rests_until: datetime | None = None
    """It gets no claim before, and is unavailable until then."""


class HostDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A filesystem of a host, as it was told last."""

    mount: str
    total: int
    free: int
    """What anybody may still write."""
    inodes: int = 0
    inodes_free: int = 0
    reserved: int = 0
    """What is promised to jobs that run there and has not been written yet."""
    floor: int = 0
    """What stays free beside everything that is promised."""
    level: str = "unknown"
    """ok, soft, hard, emergency or unknown."""
    admits: bool = True
    """Whether a job may begin that writes there."""
    full_in_s: int | None = None
    """At the rate of the last minutes; null: it is not getting fuller, or that is not known."""


class DeletionView(msgspec.Struct, frozen=True, kw_only=True, rename={"path_class": "class"}):
    """One path that was deleted on a host, as its journal told."""

    at: datetime
    """By the host's clock."""
    path: str
    path_class: str
    bytes: int | None
    actor: str
    """`agent:guard`, `agent:keeper`, `operator`, or `foreign`: not ours."""
    reason: str
    lease: str | None
    evidence: tuple[str, ...] = ()
    """Of a foreign one: who may have done it."""


class DiskView(msgspec.Struct, frozen=True, kw_only=True):
    """A filesystem with what fills it."""

    host: str
    mount: str
    total: int
    free: int
    inodes: int
    inodes_free: int
    reserved: int
    floor: int
    level: str
    level_since: datetime
    admits: bool
    full_in_s: int | None
    slots: tuple[int, ...]
    """The slots whose jobs write there."""
    told_at: datetime
    classes: tuple[ClassTotal, ...]
    pinned: tuple[Pinned, ...]
    """What would go if nothing used it, and by what it is used."""
    passes: tuple[GuardPass, ...]
    """The guard's last passes, newest first."""
    caches: tuple[CacheReport, ...] = ()
    """Compile caches that lie there."""
    deletions: tuple[DeletionView, ...]
    """The last ones below this mount, newest first."""


class HostView(msgspec.Struct, frozen=True, kw_only=True):
    """A host with its slots."""

    name: str
    intent: str
    observed: str
    last_seen: datetime | None
    reason: str | None
    version: str | None
    boot_id: str | None
    fingerprint: str | None = None
    disk: tuple[HostDisk, ...]
    slots: tuple[SlotView, ...]


class WorkspaceView(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace: the directory of one job of one attempt, as its host told of it last."""

    id: str
    host: str
    slot: int | None
    repository: str | None
    run_id: int
    attempt: int
    job_key: str | None
    """The workflow's key of the job (GITHUB_JOB)."""
    job: int | None
    """GitHub's id of the job; null: not known yet."""
    conclusion: str | None
    run: str
    """How its run stands: queued, waiting, in_progress, completed or unknown."""
    runner: str | None
    path: str | None
    state: str
    """fresh, leased, draining, dead or trashed; a newer agent may say others."""
    since: datetime | None
    """Since when it is in `state`, by the host's clock."""
    held_by: tuple[str, ...]
    """What still holds it, in the agent's sentences."""
    why: str
    """Why it is not gone yet."""
    overdue: bool
    """Its job has been over for more than 10 minutes, and something still holds it."""
    bytes: int | None
    standalone: bool
    """The job's hook made it by itself while the agent was away."""
    made_at: datetime
    told_at: datetime
    """When its host told something new of it."""


class RunnerView(msgspec.Struct, frozen=True, kw_only=True):
    """A runner of ours, by our joined views of it."""

    id: int | None
    name: str
    github: str
    busy: bool | None
    process: str
    heartbeat: str
    verdict: str
    """The row of the table in `rules.liveness` that its three views give."""
    host: str | None
    slot: int | None
    version: str | None = None


class IncidentSubject(msgspec.Struct, frozen=True, kw_only=True):
    """What an incident is about: `fleet`, `host`, `github` or `controlplane`, and which."""

    kind: str
    id: str


class IncidentView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong, once for each cause."""

    id: str
    code: str
    severity: str
    state: str
    title: str
    opened_at: datetime
    closed_at: datetime | None
    subject: IncidentSubject
    caused_by: str | None
    jobs: tuple[int, ...]
    repositories: tuple[str, ...]
    evidence: tuple[str, ...]
    """Ids of journal lines."""


class PoolView(msgspec.Struct, frozen=True, kw_only=True):
    """A pool: what it has and what is asked of it."""

    name: str
    labels: tuple[str, ...]
    trust: str
    slots: int
    idle: int
    starting: int
    running: int
    waiting: int
    oldest_queued_at: datetime | None


class OwnerView(msgspec.Struct, frozen=True, kw_only=True):
    """An owner: what it uses of what it may use."""

    login: str
    weight: float
    max_slots: int | None
    used: int
    waiting: int
    paused_until: datetime | None
    pause_reason: str | None
    budgets: tuple[BudgetView, ...]
    """What is left at GitHub of the credentials that serve this owner."""


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook delivery and what became of it."""

    guid: str
    event: str
    action: str | None
    received_at: datetime
    state: str
    reason: str | None


class ChangeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Body of every change: why. It stands in the journal."""

    reason: str


class RescueRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /api/v1/jobs/ID/rescue`: why, and which runner is meant; another one is then left alone (R32)."""

    reason: str
    runner: str | None = None
    generation: int | None = None


class SwitchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /api/v1/switches/NAME`: what one rail may do from now on, and why."""

    mode: RailMode
    reason: str


class SwitchView(msgspec.Struct, frozen=True, kw_only=True):
    """One rail of automatic acts: what it may do, and how much of its cap is used."""

    name: str
    mode: RailMode
    """What holds: the stricter of `[rails] mode` and `switch`."""
    switch: RailMode | None
    """The operator's word; null: nobody switched it."""
    reason: str | None
    since: datetime | None
    """When it was switched."""
    cap: int | None
    """Most acts a minute; null: none."""
    acts: int
    """Of the present minute."""
    capped_since: datetime | None
    """When the cap was reached, while that is not over; null: it was not, lately."""


class SweepView(msgspec.Struct, frozen=True, kw_only=True):
    """How often the lists of an owner's repositories are read at GitHub."""

    owner: str
    period_s: float
    """At present: stretched as the quota falls."""
    wanted_s: float
    """As configured."""


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /api/v1/status`: what works less than it should. Answered while the database is away, too."""

    at: datetime
    ready: bool
    missing: str | None
    """What keeps the control plane from being ready."""
    degraded: tuple[Degraded, ...]
    sweep: tuple[SweepView, ...]
    """Empty on a replica that does not lead."""


class HostRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /api/v1/hosts`: a host that may enrol."""

    name: str
    reason: str
    pools: tuple[str, ...] = ()
    """Pools that it will serve; only checked, its own file says so."""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Answer 202 to a change. `mode` is `observe` where it was only journalled."""

    journal: str
    applied: bool = True
    mode: str = "act"


class HostAdded(msgspec.Struct, frozen=True, kw_only=True):
    """Answer 202 to an added host. The token is told here once and kept nowhere."""

    journal: str
    applied: bool = True
    mode: str = "act"
    name: str
    token: str
    expires_at: datetime
    server: str
    """The control plane's address as the new host should use it."""


class HostRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """Answer 202 to a removed host, with the jobs that go on there."""

    journal: str
    applied: bool = True
    mode: str = "act"
    jobs: tuple[int, ...] = ()


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was refused."""

    code: str
    message: str
    hint: str | None = None


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """Body of every 4xx and 5xx."""

    error: Problem
