"""What agent and control plane say to each other (interfaces.md section 5).

Our own messages, so unknown fields would be refused; yet one version of skew is served either way
(R39), so fields that a newer side added are ignored and fields that an older side lacks have
defaults.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from andon.model.disk import Deletion, DiskReport

Whole = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""What the database can keep of a number that counts something."""
Code = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What the database can keep of a number that a program gave back."""

WIRE_VERSION = 1
MAX_SYNC_BYTES = 8 * 1024 * 1024
SEQ_HEADER = "andon-seq"
"""In a 204: the newest `seq` known of this boot. A report at or below it was not read, and its
agent goes on above it: `seq` begins with the host's clock, which may have been set back."""
HOLD_SECONDS = 25.0
"""How long the control plane may hold a sync that has nothing new to say."""


class SlotState(StrEnum):
    """What an agent sees of one of its slots."""

    IDLE = "idle"
    STARTING = "starting"
    """A runner process lives and has not said that it listens."""
    LISTENING = "listening"
    """The runner said "Listening for Jobs"."""
    RUNNING = "running"
    """The runner said that it runs a job."""
    STOPPING = "stopping"
    """The runner is being ended on the control plane's order."""
    UNAVAILABLE = "unavailable"
    """The slot cannot take a runner; the reason stands in `note`."""
    UNKNOWN = "unknown"
    """A state that only a newer agent knows: it proves nothing, ends nothing, and is no capacity (R39)."""

    @classmethod
    def _missing_(cls, value: object) -> "SlotState | None":
        return cls.UNKNOWN if isinstance(value, str) else None


class EnrolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /agent/v1/enrol`."""

    name: str
    token: str
    version: str
    clock: datetime | None = None
    """The agent's own time, so that a wrong clock is refused at the start (interfaces.md 10)."""


class EnrolAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer 201 to an enrolment."""

    host_token: str


class SlotReport(msgspec.Struct, frozen=True, kw_only=True):
    """One slot as the agent sees it."""

    slot: Whole
    kind: str = "jit"
    pool: str
    state: SlotState
    claim: str | None = None
    generation: Whole | None = None
    runner: str | None = None
    pid_started_at: datetime | None = None
    note: str | None = None


class EndReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a runner process ended. Exit and signal are both None when nobody saw the end."""

    claim: str
    generation: Whole
    exit: Code | None = None
    signal: Code | None = None
    tail: str = ""
    """The last lines of the runner's output, at most 4 KiB."""
    at: datetime


class LeaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace on the host and who holds it. What an older agent does not say is None."""

    id: str
    run_id: Whole
    attempt: Whole
    state: str
    bytes: Whole | None = None
    slot: Whole | None = None
    repository: str | None = None
    job: str | None = None
    """The workflow's key of the job (GITHUB_JOB)."""
    runner: str | None = None
    path: str | None = None
    since: datetime | None = None
    """Since when it is in this state."""
    held_by: tuple[str, ...] = ()
    """Why it is not gone yet, one sentence each."""
    standalone: bool = False
    """The hook made it by itself while the agent was away."""


class JobWord(msgspec.Struct, frozen=True, kw_only=True):
    """What the control plane knows of the job behind a workspace."""

    id: int
    conclusion: str | None = None
    expected: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Bytes that 95 of 100 jobs of its kind write; None: its kind is not known."""


class SyncRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /agent/v1/sync`. A section that is None is unchanged; an empty one is empty."""

    v: int = WIRE_VERSION
    host: str
    boot_id: str
    seq: Whole
    agent_version: str
    slots: tuple[SlotReport, ...] | None = None
    ended: tuple[EndReport, ...] = ()
    leases: tuple[LeaseReport, ...] | None = None
    disk: tuple[DiskReport, ...] | None = None
    hooks: tuple[dict[str, Any], ...] = ()
    deletions: tuple[Deletion, ...] = ()
    fingerprint: dict[str, Any] | None = None
    clock: datetime | None = None
    """The agent's own time when it asked: a host whose clock is wrong gets no new work."""


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """What the control plane wants of the host and of its slots (keys: slot numbers)."""

    host: str = "open"
    slots: dict[str, str] = {}


class ClaimOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Start a runner on `slot`. `jit` is a secret: never logged, never on a command line (R26)."""

    id: str
    generation: int
    slot: int
    runner: str
    jit: str
    deadline: datetime


class StopOrder(msgspec.Struct, frozen=True, kw_only=True):
    """End the runner of exactly this claim and generation; any other is left alone (R32)."""

    claim: str
    generation: int


class SyncAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The control plane's whole present wish for this host: level-triggered, safe to repeat."""

    v: int = WIRE_VERSION
    ack: int
    resync: bool = False
    intent: Intent = Intent()
    claims: tuple[ClaimOrder, ...] = ()
    stop: tuple[StopOrder, ...] = ()
    runs: dict[str, str] = {}
    """For each run that the host's leases name: queued, waiting, in_progress, completed or unknown."""
    jobs: dict[str, JobWord] = {}
    """By the id of a lease: the job that ran there, where that is known."""
    probes: tuple[dict[str, Any], ...] = ()
    policy: dict[str, Any] = {}
    """`public_url` for notices in job logs."""
