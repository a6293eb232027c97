"""The demo: a sandbox GitHub, a control plane and two agents as real processes, and real jobs on them.

Whatever it starts it ends, runners included, whether it is ended by Ctrl-C or by a fault.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import msgspec

from andon.rules.listen_address import ListenAddress
from andon.runtime.clock import Clock
from andon.runtime.errors import AndonError
from andon.runtime.http_client import HttpClient
from andon.sim.demo.repository import make_repository
from andon.sim.demo.round import Round, Say
from andon.sim.demo.runs import demo_runs
from andon.sim.demo.stage_ending import end_runners
from andon.sim.demo.stage_folder import (
    HOSTS,
    POOL_LABELS,
    REPOSITORY,
    empty,
    free_address,
    held,
    make_secrets,
    write_agent_file,
    write_control_plane_file,
)
from andon.sim.demo.stage_process import StageProcess, end_recorded, record, recorded_in

_ROUND_S = 60.0
"""A new round comes this long after the one before ended."""
_PATIENCE_S = 120.0
_RECORD = "processes.json"


async def run_demo(
    folder: Path, *, listen: ListenAddress, once: bool, say: Say, clock: Clock, stop: asyncio.Event
) -> bool:
    """Runs the demo in `folder` until `stop`, or with `once` until its first round is over.

    `folder` is absolute. True: every job that ended did so as it was meant to. Raises Refused for a folder that is not
    a demo's, and AndonError when a part of the demo fails.
    """
    with held(folder):
        # A demo that was ended by force left its processes, and they must not meet the new one.
        await end_recorded(recorded_in(folder / _RECORD), clock)
        for host in HOSTS:
            await end_runners(folder / host, clock)
        empty(folder)
        stage = _Stage(folder, say=say, clock=clock)
        playing = asyncio.ensure_future(stage.play(listen, once=once))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return playing.result() if playing.done() else stage.as_expected
        finally:
            playing.cancel()
            stopping.cancel()
            await asyncio.gather(playing, stopping, return_exceptions=True)
            await stage.end()


class _Stage:
    """Everything that one demo started."""

    def __init__(self, folder: Path, *, say: Say, clock: Clock) -> None:
        self.as_expected = True
        self._folder = folder
        self._clock = clock
        began = clock.monotonic()
        self._say: Say = lambda text: say(f"{clock.monotonic() - began:6.1f} s  {text}")
        self._agents: list[StageProcess] = []
        self._servers: list[StageProcess] = []
        self._clients: list[HttpClient] = []

    async def play(self, listen: ListenAddress, *, once: bool) -> bool:
        """Starts everything and posts runs; returns only with `once`."""
        folder, say = self._folder, self._say
        secrets = make_secrets(folder)
        repository = await asyncio.to_thread(make_repository, folder / "repository")
        sandbox = await self._start(self._servers, "sandbox GitHub", "sandbox", "serve", "--listen", "127.0.0.1:0")
        github_url = str((await sandbox.ready())["url"])
        say(f"sandbox GitHub   {github_url}")
        address = free_address(listen)
        if listen.port not in (0, address.port):
            say(f"port {listen.port} is taken, so the board takes {address.port}")
        file = write_control_plane_file(folder, listen=address, api_url=github_url)
        control_plane = await self._start(self._servers, "control plane", "up", *self._files(file))
        board_url = str((await control_plane.ready())["url"])
        say(f"control plane    {board_url}   <- the board: open it in a browser")
        await self._start_agents(board_url)
        github = self._client(github_url, token=secrets.github_token)
        board = self._client(board_url)
        await self._register_webhook(github, f"{board_url}/webhooks/github", secrets.webhook)
        bodies = demo_runs(repository, name=REPOSITORY, labels=POOL_LABELS)
        while True:
            this = Round(board, github, say=say, clock=self._clock, check=self._check)
            await this.post(bodies)
            await this.follow(patience_s=_PATIENCE_S)
            self.as_expected = self.as_expected and this.as_expected
            say("All jobs ended as they were meant to." if this.as_expected else "Not all jobs ended as meant.")
            if once:
                return this.as_expected
            say(f"The next round comes in {_ROUND_S:g} s; the board stays at {board_url}. Ctrl-C ends everything.")
            await self._rest(_ROUND_S)

    async def _start_agents(self, board_url: str) -> None:
        command = [sys.executable, "-P", "-m", "andon.sim.runner"]
        for host in HOSTS:
            file = write_agent_file(self._folder, host, server=board_url, command=command)
            await self._start(self._agents, f"agent of {host}", "agent", "run", *self._files(file))
        for host, agent in zip(HOSTS, self._agents, strict=True):
            ready = await agent.ready()
            self._say(f"agent            {host}, pid {ready['pid']}")

    def _files(self, file: Path) -> tuple[str, ...]:
        return ("--config", str(file), "--data", str(self._folder))

    async def _start(self, among: list[StageProcess], what: str, *arguments: str) -> StageProcess:
        log = self._folder / "logs" / f"{what.replace(' ', '-')}.log"
        process = await StageProcess.start(what, arguments, log=log)
        among.append(process)
        record(self._folder / _RECORD, [*self._agents, *self._servers])
        return process

    def _client(self, url: str, token: str | None = None) -> HttpClient:
        client = HttpClient(url, token=token)
        self._clients.append(client)
        return client

    async def _register_webhook(self, github: HttpClient, url: str, secret: str) -> None:
        hook = {
            "name": "web",
            "active": True,
            "events": ["workflow_job", "workflow_run"],
            "config": {"url": url, "content_type": "json", "secret": secret},
        }
        answer = await github.request("POST", f"/repos/{REPOSITORY}/hooks", body=msgspec.json.encode(hook))
        if answer.status != 201:
            raise AndonError(f"The sandbox GitHub did not take the webhook: {answer.error_text()}")

    def _check(self) -> None:
        """Raises AndonError when one of our programs has ended."""
        for process in (*self._servers, *self._agents):
            if process.ended:
                raise AndonError(process.obituary())

    async def _rest(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            self._check()
            await self._clock.sleep(1.0)

    async def end(self) -> None:
        """Ends everything that was started; agents first, so that nothing new begins."""
        if self._agents or self._servers:
            self._say("Ending what was started ...")
        for client in self._clients:
            await client.close()
        await _all(process.end for process in (*self._agents, *self._servers))
        await _all(lambda host=host: end_runners(self._folder / host, self._clock) for host in HOSTS)
        (self._folder / _RECORD).unlink(missing_ok=True)
        if self._agents or self._servers:
            self._say("All of it has ended.")


async def _all(work: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Does everything, also when some of it fails; raises the first failure."""
    results = await asyncio.gather(*(one() for one in work), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
