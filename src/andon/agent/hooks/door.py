"""Answers hooks: finds out whose hook it is, lets its workspace be made, and says so in one line.

Called by the agent's question door with one request and its connection; never raises for bad
input. A hook that gets no answer in time goes on without us, so patience here is a little less
than its own.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence

from andon.agent.hooks.answers import MAX_NOTICES, Caches, HookAnswer, NoCaches, Workspaces
from andon.agent.hooks.caller import Caller, RunnerProcess, find_caller
from andon.agent.hooks.requests import Hook, HookRequest, identity_of, read_request
from andon.model.workspaces import JobIdentity
from andon.runtime.errors import Refused
from andon.runtime.logging import Logger

PATIENCE_S = 2.5
"""The hook waits three seconds in all (interfaces.md section 4)."""


class HookDoor:
    """`public_url` is asked at each notice, since it is learned from the control plane."""

    def __init__(
        self,
        workspaces: Workspaces,
        runners: Callable[[], Sequence[RunnerProcess]],
        *,
        host: str,
        public_url: Callable[[], str | None],
        caches: Caches | None = None,
        log: Logger,
    ) -> None:
        self._workspaces = workspaces
        self._runners = runners
        self._host = host
        self._public_url = public_url
        self._caches = caches or NoCaches()
        self._log = log

    async def answer(self, line: bytes, door: socket.socket) -> HookAnswer | None:
        """The answer to one line; None: say nothing, so that the hook goes on by itself."""
        request = None
        try:
            request = read_request(line)
            caller = find_caller(door, self._runners)
            job = identity_of(request)
            if job.runner != caller.runner.runner:
                raise Refused(
                    f"RUNNER_NAME is {job.runner[:100]!r}, yet this process belongs to the runner "
                    f"{caller.runner.runner!r} of slot {caller.runner.slot}. Nothing was made for it."
                )
            async with asyncio.timeout(PATIENCE_S):
                return await self._serve(request, caller, job)
        except Refused as refused:
            self._log.warning("hook.refused", hook=request.hook if request else None, reason=str(refused))
            return HookAnswer(ok=False, error=str(refused))
        except TimeoutError:
            self._log.error("hook.unanswered", reason=f"not done within {PATIENCE_S:g} s")
            return None

    async def _serve(self, request: HookRequest, caller: Caller, job: JobIdentity) -> HookAnswer:
        slot = caller.runner.slot
        if request.hook is Hook.COMPLETED:
            ended = await self._workspaces.end(job, caller.process, slot)
            return HookAnswer(ok=True, notices=ended.notices[:MAX_NOTICES])
        begun = await self._workspaces.begin(job, caller.process, slot, caller.runner.claim)
        begun = await self._caches.share(begun, job, caller.process, slot, request.env)
        notice = f"host {self._host}, slot {slot}, {begun.base}"
        url = self._public_url()
        if url:
            notice += f", {url.rstrip('/')}/" + (f"jobs/{begun.workspace}" if begun.workspace else "")
        return HookAnswer(
            ok=True,
            workspace=begun.workspace or None,
            env=begun.env,
            path=begun.path,
            notices=(notice, *begun.notices)[:MAX_NOTICES],
        )
