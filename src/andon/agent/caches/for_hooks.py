"""Tells a job's steps where their compile cache is, with the answer to its started hook."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from andon.agent.caches.shared_caches import SharedCaches
from andon.agent.hooks.answers import Begun
from andon.model.config import Workspace
from andon.model.workspaces import JobIdentity, JobProcess

SPARE = "sccache"
"""In the workspace: what a server that the job starts by itself keeps goes with it (R94)."""


class CachesForHooks:
    """`workspace_of` gives the settings of a slot's pool."""

    def __init__(self, caches: SharedCaches, workspace_of: Callable[[int], Workspace]) -> None:
        self._caches, self._workspace_of = caches, workspace_of

    async def share(
        self, begun: Begun, job: JobIdentity, process: JobProcess, slot: int, asked: Mapping[str, str]
    ) -> Begun:
        """The steps of a pool whose jobs may run in containers see no socket of this host, and get nothing."""
        place = begun.env.get("ANDON_WORKSPACE")
        if place is None or self._workspace_of(slot).place != "root":
            return begun
        exports, notices = await self._caches.for_job(job, process, asked, Path(place, SPARE))
        return msgspec.structs.replace(begun, env=begun.env | exports, notices=(*begun.notices, *notices))
