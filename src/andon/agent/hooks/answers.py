"""What a hook is answered, and who provides it: the workspaces' keeper, as this side sees it."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from andon.model.workspaces import JobIdentity, JobProcess

MAX_NOTICES = 20


class HookAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One line to the hook. With `ok` false nothing is exported and `error` says why."""

    v: int = 1
    ok: bool
    workspace: str | None = None
    env: dict[str, str] = {}
    path: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    error: str | None = None


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace that stands and is leased: what the job's steps shall see of it."""

    workspace: str
    """Its id."""
    env: dict[str, str] = {}
    path: tuple[str, ...] = ()
    base: str = "no base"
    """For people: the age of the base it began from."""
    notices: tuple[str, ...] = ()


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The job says that it is over; its workspace goes when the kernel says so too."""

    notices: tuple[str, ...] = ()


class Workspaces(Protocol):
    """Makes and ends workspaces. Both raise Refused, with one sentence for the job's log."""

    async def begin(self, job: JobIdentity, process: JobProcess, slot: int, claim: str | None) -> Begun:
        """A workspace for this job, leased before it is returned.

        Called again for the same process it returns the same one. Cancelled when the hook has
        stopped waiting: then what was half made is taken back.
        """
        ...

    async def end(self, job: JobIdentity, process: JobProcess, slot: int) -> Ended:
        """Notes that the job's completed hook ran."""
        ...


class Caches(Protocol):
    """What jobs share of what they compile."""

    async def share(
        self, begun: Begun, job: JobIdentity, process: JobProcess, slot: int, asked: Mapping[str, str]
    ) -> Begun:
        """The same workspace, with what the job's steps need to reach their cache; `asked` is what the hook told of
        the job's own settings."""
        ...


class NoCaches:
    """For an agent that keeps none."""

    async def share(
        self, begun: Begun, job: JobIdentity, process: JobProcess, slot: int, asked: Mapping[str, str]
    ) -> Begun:
        """As it is."""
        del job, process, slot, asked
        return begun


class NoWorkspaces:
    """Serves nothing but the notice: for an agent that keeps no workspaces, and to measure the way there."""

    async def begin(self, job: JobIdentity, process: JobProcess, slot: int, claim: str | None) -> Begun:
        """Makes nothing, exports nothing."""
        return Begun(workspace="")

    async def end(self, job: JobIdentity, process: JobProcess, slot: int) -> Ended:
        """Nothing to end."""
        return Ended()
