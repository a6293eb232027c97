"""What the keeper of workspaces stands on: records, directories, the kernel. Protocols, so that each is tried alone."""

from collections.abc import Awaitable, Container, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from andon.model.workspaces import Hold, JobIdentity, JobProcess, LeaseRecord
from andon.runtime.errors import Refused


class CannotBegin(Refused):
    """No workspace could be given; the message is one sentence for the job's log."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A directory that was just made, and what names it for good."""

    path: Path
    device: int
    inode: int


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A directory that nobody leases; its name says whose it was."""

    name: str
    slot: int
    made: Made
    process: JobProcess | None = None
    """Who holds it, where a hook made it alone and left word."""
    job: JobIdentity | None = None


class Records(Protocol):
    """The leases on tmpfs. All of it is quick; `take` and `update` raise OSError and AndonError."""

    def records(self) -> tuple[LeaseRecord, ...]: ...
    def take(self, record: LeaseRecord) -> None: ...
    def update(self, record: LeaseRecord) -> None: ...


class Places(Protocol):
    """The directories. What these do takes a while and runs beside the event loop."""

    def make(self, slot: int, claim: str | None, name: str, process: JobProcess) -> Made:
        """Raises CannotBegin and OSError."""
        ...

    def found(self, known: Container[str]) -> tuple[Found, ...]:
        """The directories of ours that are not `known`. Raises OSError."""
        ...

    def forget_note(self, name: str) -> None: ...


class Space(Protocol):
    """Who goes first where there is too little room (`rules.disk_plan`), and what workspaces take."""

    def wanted(self, over: tuple[LeaseRecord, ...]) -> frozenset[str]:
        """The ids of those that must go for their space, of these whose runs are over. Runs beside the event loop."""
        ...

    def size_of(self, record: LeaseRecord) -> int | None:
        """Bytes that it took when it was measured last; None: it was not yet."""
        ...

    def is_unmeasured(self, record: LeaseRecord) -> bool:
        """Whether it is there, and was not measured yet."""
        ...

    def measure_soon(self) -> None:
        """Something waits for being measured."""
        ...


class ToGo(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace that is to be taken away, by whom and why."""

    record: LeaseRecord
    actor: str
    reason: str


class Remover(Protocol):
    """Takes workspaces away."""

    async def take_away(self, going: tuple[ToGo, ...]) -> Mapping[str, Hold | None]:
        """Looks once more at all of them with their leases for itself alone, moves each directory into the trash and
        ends its lease.

        For each what forbade that, if something did: then all is as before. Their locks are held while it looks, so
        `AT_MOST` of the keeper bounds how many there are.
        """
        ...


class Kernel(Protocol):
    """What the kernel shows."""

    def up_s(self) -> float:
        """Seconds since boot, with the time asleep."""
        ...

    def watch(self) -> None:
        """From now on the end of any lease's job process is told."""
        ...

    def gone(self) -> frozenset[str]:
        """The leases whose job's process ended; the others' are watched."""
        ...

    def holds(self, records: tuple[LeaseRecord, ...]) -> Awaitable[Mapping[str, tuple[Hold, ...]]]:
        """Who can still use each of them; one that is missing could not be looked at."""
        ...
