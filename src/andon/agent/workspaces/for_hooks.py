"""What hooks ask of the keeper, and what a job's steps are told of their workspace (interfaces.md section 4)."""

from collections.abc import Callable

from andon.agent.hooks.answers import Begun, Ended
from andon.agent.layout import IN_WORK
from andon.agent.workspaces.keeper import Keeper
from andon.agent.workspaces.leftovers import Leftovers
from andon.model.config import Workspace
from andon.model.workspaces import JobIdentity, JobProcess, LeaseRecord
from andon.rules.workspace_exports import ALWAYS, variables
from andon.runtime.errors import AndonError, Refused

_IN_CONTAINERS = (
    "no path is exported, since it cannot be told here whether steps run in a container; "
    "the action actions/workspace of Andon's repository exports them where they run"
)


_SEEN_AS = "/__w/"
"""Where a job's container has its runner's work folder."""


class WorkspacesForHooks:
    """`workspace_of` gives the settings of a slot's pool."""

    def __init__(
        self, keeper: Keeper, leftovers: Leftovers, host: str, workspace_of: Callable[[int], Workspace]
    ) -> None:
        self._keeper, self._leftovers = keeper, leftovers
        self._host, self._workspace_of = host, workspace_of

    async def begin(self, job: JobIdentity, process: JobProcess, slot: int, claim: str | None) -> Begun:
        """Raises Refused."""
        known = self._keeper.knows(process)
        try:
            record = await self._keeper.begin(job, process, slot, claim)
        except Refused:
            # Its checkout comes all the same.
            if not known:
                await self._leftovers.heal(job, process, slot, claim)
            raise
        # Once only: later there is this job's own work in it.
        healed = () if known else await self._leftovers.heal(job, process, slot, claim)
        workspace = self._workspace_of(slot)
        paths = _paths(workspace, record)
        return Begun(
            workspace=record.id,
            env=paths | self._always(record, workspace),
            notices=(() if paths else (_IN_CONTAINERS,)) + healed,
        )

    def _always(self, record: LeaseRecord, workspace: Workspace) -> dict[str, str]:
        table = {**ALWAYS, **workspace.export}
        return {
            "ANDON_WORKSPACE": record.path,
            "ANDON_WORKSPACE_ID": record.id,
            "ANDON_WORKSPACE_EXPORT": "\n".join(f"{variable}={folder}" for variable, folder in table.items()),
            "ANDON_HOST": self._host,
            "ANDON_SLOT": str(record.slot),
        }

    async def end(self, job: JobIdentity, process: JobProcess, slot: int) -> Ended:
        """Raises Refused."""
        del job, slot
        try:
            self._keeper.end(process)
        except (OSError, AndonError) as error:
            raise Refused(f"The end of this job could not be written down ({error}).") from error
        return Ended()


def _paths(workspace: Workspace, record: LeaseRecord) -> dict[str, str]:
    """What the steps see. A path of this host means nothing in a job's container, and only a step knows whether it
    is in one (R92); unless the runner itself speaks of the container's paths already."""
    if workspace.place == "root":
        return variables(workspace.export, record.path)
    if record.job.workspace.startswith(_SEEN_AS):
        return variables(workspace.export, f"{_SEEN_AS}{IN_WORK.name}/{record.id}")
    return {}
