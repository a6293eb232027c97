"""A runner's process on a played host: registers, takes one job, ends. It outlives its agent.

Speaks to the sandbox as the stand-in runner does, without HTTP; `tests` hold both against the same
failure modes (limits.md section 5).
"""

import asyncio
from collections.abc import Callable
from typing import Any

from andon.agent.claim_record import Phase
from andon.runtime.clock import Clock
from andon.runtime.loop import wait_for_nudge
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Job, Runner, Session
from andon.sim.sandbox.refusals import ApiError

POLL_S = 50.0
RENEW_S = 60.0
TERMINATED = 1
SESSION_CONFLICT = 5
VERSION_DEPRECATED = 7
VERSION = "2.336.0"


class PlayedRunner:
    """One process. `reached` is told of each phase; `seconds` says how long a job runs."""

    def __init__(
        self,
        github: SandboxGitHub,
        name: str,
        clock: Clock,
        *,
        boot_s: float,
        seconds: Callable[[Job], float],
        reached: Callable[[Phase], None],
        offline: Callable[[], bool],
    ) -> None:
        self._github, self._name, self._clock = github, name, clock
        self._boot_s, self._seconds, self._reached, self._offline = boot_s, seconds, reached, offline
        self.runner: Runner | None = None
        self.session: Session | None = None
        self.job: Job | None = None
        self.tail = ""

    async def run(self) -> int:
        """Lives; gives the exit code."""
        await self._clock.sleep(self._boot_s)
        await self._online()
        try:
            self._connect()
        except ApiError as refused:
            self.tail = str(refused)
            return VERSION_DEPRECATED if refused.status == 403 else SESSION_CONFLICT if refused.status == 409 else 1
        self._reached(Phase.LISTENING)
        try:
            return await self._listen()
        except ApiError as refused:
            self.tail += f"\n{refused}"
            return TERMINATED if refused.status == 401 else 0

    def _connect(self) -> None:
        github = self._github
        named = [each for each in github.world.runners.values() if each.name == self._name]
        if not named:
            raise ApiError(401, "The runner registration has been deleted from the server.")
        self.runner = named[-1]
        self.session = github.runners.open_session(self.runner, version=VERSION, os="linux")
        self.tail = "Listening for Jobs"

    async def _online(self) -> None:
        while self._offline():
            await self._clock.sleep(5.0)

    async def _listen(self) -> int:
        """Polls for messages, as long as nothing ends it."""
        while True:
            await self._online()
            message = await self._next_message(POLL_S)
            if message is None:
                continue
            if message["kind"] == "exit":
                return int(message["code"])
            if message["kind"] == "job":
                code = await self._take(message["job"])
                if code is not None:
                    return code

    async def _next_message(self, seconds: float) -> dict[str, Any] | None:
        github, session = self._github, self.session
        assert session is not None and self.runner is not None
        github.tick()
        found = github.runners.get_session(self.runner, session.id)
        github.runners.begin_poll(found)
        try:
            until = self._clock.monotonic() + seconds
            while True:
                seen = found.nudge.version
                if (message := github.execution.next_message(found)) is not None:
                    return message
                left = until - self._clock.monotonic()
                if left <= 0:
                    return None
                await wait_for_nudge(found.nudge, seen, self._clock, left)
                github.tick()
        finally:
            github.runners.end_poll(found)

    async def _take(self, offered: dict[str, Any]) -> int | None:
        assert self.runner is not None and self.session is not None
        fault: dict[str, Any] = offered.get("fault") or {}
        try:
            job = self._github.execution.acquire(self.runner, self.session.id, offered["id"])
        except ApiError:
            # A lost assignment: it goes on listening, as if nothing had been said.
            await self._clock.sleep(1.0)
            return None
        self._reached(Phase.RUNNING)
        self.tail = f"Running job: {job.name}"
        if fault.get("kind") == "worker_hangs":
            await self._clock.sleep(fault.get("seconds") or 60.0)
            return 0
        self.job = job
        try:
            await self._work(job, renews=fault.get("kind") != "lock_lost")
        except ApiError as lost:
            self.tail += f"\n{lost}"
        finally:
            self.job = None
        return 0

    async def _work(self, job: Job, *, renews: bool) -> None:
        assert self.runner is not None and self.session is not None
        github = self._github
        until = self._clock.monotonic() + self._seconds(job)
        while (left := until - self._clock.monotonic()) > 0:
            seen = self.session.nudge.version
            if job.cancel_requested:
                await self._clock.sleep(2.0)
                await self._online()
                github.execution.complete(self.runner, job.id, "cancelled", [])
                return
            if renews and not self._offline():
                github.tick()
                github.execution.renew(self.runner, job.id)
            await wait_for_nudge(self.session.nudge, seen, self._clock, min(left, RENEW_S))
        await self._online()
        github.tick()
        github.execution.complete(self.runner, job.id, "success", [])


async def never_boots() -> int:
    """A process that lives and does nothing: T4's runner."""
    await asyncio.get_running_loop().create_future()
    return 0
