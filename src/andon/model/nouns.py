"""Jobs, runs, claims, slots and hosts as the store keeps them."""

from datetime import datetime

import msgspec

from andon.model.caches import CacheReport
from andon.model.claim_states import ClaimState
from andon.model.disk import ClassTotal, DiskLevel, GuardPass, Pinned
from andon.model.host_states import HostObserved, Intent
from andon.model.incident_kinds import IncidentCode, Severity
from andon.model.incident_states import IncidentState
from andon.model.job_states import JobStatus


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One workflow job of one attempt, as GitHub tells it. Nothing in it is ours but `pool`."""

    id: int
    repository: str
    owner: str
    run_id: int
    attempt: int
    name: str
    workflow: str | None
    branch: str | None
    sha: str
    labels: tuple[str, ...]
    pool: str | None
    """The first pool of the configuration that serves the labels; None: nobody serves them."""
    status: JobStatus
    conclusion: str | None
    created_at: datetime
    queued_at: datetime | None
    """When we know it was first queued; the start of its waiting time."""
    started_at: datetime | None
    completed_at: datetime | None
    runner_id: int | None
    runner_name: str | None
    fork: bool | None = None
    """Whether its run's head comes from another repository; None until the run is known."""
    order_at: datetime | None
    """GitHub's time of what `status` says, where known: decides between queued and waiting."""
    observed_at: datetime
    """When we last heard of it, from any source."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a workflow run."""

    id: int
    attempt: int
    repository: str
    workflow: str | None
    event: str
    branch: str | None
    sha: str
    status: str
    conclusion: str | None
    fork: bool
    """The head comes from another repository: work that a pool may not trust."""
    observed_at: datetime


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Our reservation of a slot for demand. One claim is one runner, started at most once."""

    id: str
    job_id: int | None
    """The demand it stands for; a shuffle moves it. None only in the middle of a swap."""
    owner: str
    repository: str
    pool: str
    host: str
    slot: int
    state: ClaimState
    generation: int
    runner_name: str
    runner_id: int | None
    created_at: datetime
    since: datetime
    """Since when it is in `state`."""
    deadline: datetime | None
    reason: str | None
    """Why it is in doubt, or how it ended."""
    ended_at: datetime | None
    """When the runner's process ended, as the agent reported it."""
    exit: int | None
    signal: int | None
    tail: str | None


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A place for one runner on a host: our intent, and what the agent last reported."""

    host: str
    slot: int
    kind: str
    pool: str
    intent: Intent
    state: str
    claim: str | None
    generation: int | None
    """The claim's generation as the agent knows it; a stop order names it (R32)."""
    runner: str | None
    note: str | None
    since: datetime
    failed_starts: int = 0
    """Runners in a row that failed before they served a job."""
    rests_until: datetime | None = None
    """It gets no claim before: too many of them did."""


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A machine with an agent."""

    name: str
    intent: Intent
    observed: HostObserved
    reason: str | None
    last_seen: datetime | None
    version: str | None
    boot_id: str | None
    seq: int
    """The newest sync that was applied; an older one changes nothing."""
    enrolled_at: datetime
    workspaces: int = 0
    """How many workspaces it told of last."""
    disks: int = 0
    """How many filesystems it told of last; 0: it does not tell of any."""


class KeptDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A filesystem as its host told of it last (`model.disk.DiskReport`). Ours are only the times at the end."""

    host: str
    mount: str
    total: int
    free: int
    inodes: int
    inodes_free: int
    level: DiskLevel
    admits: bool
    floor: int
    full_in_s: int | None
    slots: tuple[int, ...]
    classes: tuple[ClassTotal, ...]
    pinned: tuple[Pinned, ...]
    passes: tuple[GuardPass, ...]
    caches: tuple[CacheReport, ...] = ()
    told_at: datetime
    level_since: datetime
    short_since: datetime | None
    """Since when it is at its hard mark or worse."""
    sampled_at: datetime | None = None
    """When the newest of its samples was kept."""


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace as its host told of it last (`model.workspaces`). Ours are only the two times at the end."""

    host: str
    id: str
    run_id: int
    attempt: int
    repository: str | None
    job_key: str | None
    """The workflow's key of the job (GITHUB_JOB)."""
    runner: str | None
    slot: int | None
    path: str | None
    state: str
    since: datetime | None
    """Since when it is in `state`, by the host's clock."""
    held_by: tuple[str, ...]
    """Why it is not gone yet, in the agent's sentences."""
    bytes: int | None
    standalone: bool
    """The hook made it by itself while the agent was away."""
    made_at: datetime
    """The first moment that we know it for."""
    seen_at: datetime
    """When the host last told something new of it."""


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A runner of ours as GitHub's list of runners showed it last."""

    owner: str
    repository: str
    """Where it is registered, "owner/name"; empty: at the organisation."""
    name: str
    runner_id: int
    status: str
    """"online", "offline", or "absent": a whole list did not have it any more."""
    busy: bool
    since: datetime
    """Of the first read in a row that showed it so."""
    reads: int
    """How many reads in a row showed it so."""
    read_at: datetime


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, with one cause; what it touches stands in it."""

    id: str
    code: IncidentCode
    severity: Severity
    state: IncidentState
    title: str
    """One sentence: what is wrong, where."""
    subject_kind: str
    subject_id: str
    caused_by: str | None
    """The incident that this one follows from."""
    opened_at: datetime
    since: datetime
    """Since when it is in `state`."""
    deadline: datetime | None
    closed_at: datetime | None
    jobs: tuple[int, ...]
    repositories: tuple[str, ...]
    evidence: tuple[str, ...]
    """Journal lines."""
