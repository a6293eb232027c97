"""What a workspace is to agent and control plane: whose it is, which process holds it, why it is not gone.

The states and their deadlines stand in `workspace_states.py`, the messages in `wire.py`.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from andon.model.workspace_states import WorkspaceState


class JobIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The job behind a hook call, as the runner's environment names it. Hostile text: never a path."""

    repository: str
    """`owner/name`."""
    run_id: int
    attempt: int
    job: str
    """GITHUB_JOB: the workflow's key of the job. Not unique in a matrix (interfaces.md section 4)."""
    runner: str
    event: str = ""
    ref: str = ""
    sha: str = ""
    workspace: str = ""
    """GITHUB_WORKSPACE: where the checkout goes, on the host."""
    temp: str = ""
    """RUNNER_TEMP, on the host."""
    tracking: str = ""
    """RUNNER_TRACKING_ID: stands in the environment of every process of the job."""


class JobProcess(msgspec.Struct, frozen=True, kw_only=True):
    """The process that a lease hangs on: the job's `Runner.Worker`, or the runner itself where there is none."""

    pid: int
    start: int
    """Clock ticks since boot: with the pid and the boot id, the process's name for good."""
    uid: int
    gid: int
    cgroup: str | None = None
    """Its cgroup's folder where that is one of ours; None: the process and its session have to do."""


class Holder(StrEnum):
    """What can still use a workspace (host-facts.md 2.2)."""

    PROCESS = "process"
    """The job's process lives."""
    CGROUP = "cgroup"
    """A process is left in the job's cgroup."""
    MOUNT = "mount"
    """It is mounted, or something is mounted in it, in some mount namespace."""
    FILE = "file"
    """A process works in it, runs from it or holds a file of it open."""
    LOCK = "lock"
    """Another program holds its lease's lock."""
    RUN = "run"
    """Its run is not over yet at GitHub."""
    UNKNOWN = "unknown"
    """It could not be told; so it is held (law 4)."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why a workspace cannot go yet, with a sentence for people."""

    by: Holder
    text: str
    pid: int | None = None


class LeaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One workspace and its lease, as the agent writes it down on tmpfs (host-facts.md 2.2).

    `device` and `inode` name the directory itself: another one under its name is not it.
    """

    id: str
    """Made by the agent; also the name of the directory."""
    state: WorkspaceState
    path: str
    device: int
    inode: int
    slot: int
    claim: str | None
    """None: an adopted runner."""
    job: JobIdentity
    boot_id: str
    process: JobProcess | None
    """None: nobody is known to have begun in it (a directory found again after a reboot)."""
    made_at: datetime
    taken_at: datetime | None = None
    ended_at: datetime | None = None
    """When the job's process was seen to be gone, or its completed hook was heard."""
    dead_at: datetime | None = None
    made_up_s: float = 0.0
    """The same moments in seconds since `boot_id` began (CLOCK_BOOTTIME): ages are measured by these alone,
    because a calendar can be set."""
    ended_up_s: float | None = None
    dead_up_s: float | None = None
    failed: bool | None = None
    """Whether GitHub says the job failed; None: not known yet."""
