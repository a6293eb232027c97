"""Starts a sandbox GitHub, a control plane and agents, connects them, and ends all of it."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import msgspec

from andon.rules.listen_address import ListenAddress
from andon.runtime.clock import Clock
from andon.runtime.errors import AndonError
from andon.runtime.http_client import HttpClient
from andon.sim.stage.ending import end_runners
from andon.sim.stage.folder import free_address, make_secrets, write_agent_file, write_control_plane_file
from andon.sim.stage.process import StageProcess, end_recorded, record, recorded_in

_RECORD = "processes.json"

Say = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What stands on the stage."""

    hosts: tuple[str, ...] = ("host-a", "host-b")
    slots: int = 2
    """Slots of each host."""
    repository: str = "demo/tally"
    sweep_s: float = 20.0


class StagedFleet:
    """One fleet in one folder; `folder` must be absolute and the caller's alone."""

    def __init__(self, folder: Path, plan: Plan, *, say: Say, clock: Clock) -> None:
        self.github_url = ""
        self.board_url = ""
        self.agents: list[StageProcess] = []
        self.servers: list[StageProcess] = []
        self._folder, self._plan, self._say, self._clock = folder, plan, say, clock
        self._clients: list[HttpClient] = []
        self._github_token = ""

    async def clear(self) -> None:
        """Ends what a fleet left here that was itself ended by force: it must not meet the new one."""
        await end_recorded(recorded_in(self._folder / _RECORD), self._clock)
        await self._end_all_runners()

    async def start(self, listen: ListenAddress) -> None:
        """Starts everything; the board answers at `board_url` as soon as it is said."""
        folder, say, plan = self._folder, self._say, self._plan
        secrets = make_secrets(folder)
        self._github_token = secrets.github_token
        sandbox = await self._start(self.servers, "sandbox GitHub", "sandbox", "serve", "--listen", "127.0.0.1:0")
        self.github_url = str((await sandbox.ready())["url"])
        say(f"sandbox GitHub   {self.github_url}")
        address = free_address(listen)
        if listen.port not in (0, address.port):
            say(f"port {listen.port} is taken, so the board takes {address.port}")
        file = write_control_plane_file(
            folder, listen=address, api_url=self.github_url, repository=plan.repository, sweep_s=plan.sweep_s
        )
        control_plane = await self._start(self.servers, "control plane", "up", *self._files(file))
        self.board_url = str((await control_plane.ready())["url"])
        say(f"control plane    {self.board_url}   <- the board: open it in a browser")
        command = [sys.executable, "-P", "-m", "andon.sim.runner"]
        for host in plan.hosts:
            file = write_agent_file(folder, host, server=self.board_url, command=command, slots=plan.slots)
            await self._start(self.agents, f"agent of {host}", "agent", "run", *self._files(file))
        for host, agent in zip(plan.hosts, self.agents, strict=True):
            ready = await agent.ready()
            say(f"agent            {host}, pid {ready['pid']}")
        await self._register_webhook(secrets.webhook)

    def github(self) -> HttpClient:
        """A client of the sandbox GitHub with its token."""
        return self._client(self.github_url, token=self._github_token)

    def board(self) -> HttpClient:
        """A client of the control plane."""
        return self._client(self.board_url)

    def check(self) -> None:
        """Raises AndonError when one of the programs has ended."""
        for process in (*self.servers, *self.agents):
            if process.ended:
                raise AndonError(process.obituary())

    async def end(self) -> None:
        """Ends everything that was started; agents first, so that nothing new begins."""
        for client in self._clients:
            await client.close()
        await _all(process.end for process in (*self.agents, *self.servers))
        await self._end_all_runners()
        (self._folder / _RECORD).unlink(missing_ok=True)

    async def _end_all_runners(self) -> None:
        await _all(lambda host=host: end_runners(self._folder / host, self._clock) for host in self._plan.hosts)

    def _files(self, file: Path) -> tuple[str, ...]:
        return ("--config", str(file), "--data", str(self._folder))

    async def _start(self, among: list[StageProcess], what: str, *arguments: str) -> StageProcess:
        log = self._folder / "logs" / f"{what.replace(' ', '-')}.log"
        process = await StageProcess.start(what, arguments, log=log)
        among.append(process)
        record(self._folder / _RECORD, [*self.agents, *self.servers])
        return process

    def _client(self, url: str, token: str | None = None) -> HttpClient:
        client = HttpClient(url, token=token)
        self._clients.append(client)
        return client

    async def _register_webhook(self, secret: str) -> None:
        hook = {
            "name": "web",
            "active": True,
            "events": ["workflow_job", "workflow_run"],
            "config": {"url": f"{self.board_url}/webhooks/github", "content_type": "json", "secret": secret},
        }
        path = f"/repos/{self._plan.repository}/hooks"
        answer = await self.github().request("POST", path, body=msgspec.json.encode(hook))
        if answer.status != 201:
            raise AndonError(f"The sandbox GitHub did not take the webhook: {answer.error_text()}")


async def _all(work: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Does everything, also when some of it fails; raises the first failure."""
    results = await asyncio.gather(*(one() for one in work), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
