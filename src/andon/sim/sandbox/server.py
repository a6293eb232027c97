"""Serves a sandbox GitHub over HTTP: `andon sandbox serve`, the demo, and tests over real sockets."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from andon.runtime.clock import Clock
from andon.runtime.logging import logger
from andon.sim.sandbox.app import make_app
from andon.sim.sandbox.chance import Chance
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.pump import Deliver, HttpDelivery, Pump
from andon.sim.sandbox.script import play, read_script
from andon.sim.sandbox.tap import Tap, recorder
from andon.sim.sandbox.timings import Timings
from andon.web import http_server
from andon.web.http_server import listening_socket, url_of


@asynccontextmanager
async def serving(
    sandbox: SandboxGitHub,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    deliver: Deliver | None = None,
    tap: Tap | None = None,
) -> AsyncGenerator[str]:
    """Serves `sandbox` while the block runs; gives its address, which also becomes its `base_url`.

    Raises Refused when the address cannot be listened on.
    """
    listener = listening_socket(host, port)
    url = url_of(listener)
    sandbox.base_url = url
    over_http = HttpDelivery() if deliver is None else None
    pump = Pump(sandbox, deliver or over_http or _nowhere)
    pumping = asyncio.ensure_future(pump.run())
    try:
        async with http_server.serving(make_app(sandbox, tap), listener, before_stop=sandbox.close):
            yield url
    finally:
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)
        if over_http is not None:
            await over_http.close()


async def serve_sandbox(
    *,
    clock: Clock,
    chance: Chance,
    announce: Callable[[str], None],
    stop: asyncio.Event,
    host: str = "127.0.0.1",
    port: int = 0,
    script: Path | None = None,
    timings: Timings | None = None,
    shuffle: bool = True,
    accepted_token: str | None = None,
    record: Path | None = None,
) -> None:
    """Serves a fresh sandbox until `stop` is set; `announce` is called with its address once it answers.

    Every call of GitHub's API is appended to `record`.

    Raises Refused for a script that cannot be used and for an address that cannot be listened on.
    """
    log = logger("sandbox")
    calls = read_script(script) if script is not None else []
    sandbox = SandboxGitHub(clock, chance, timings=timings, shuffle=shuffle, accepted_token=accepted_token)
    async with serving(sandbox, host=host, port=port, tap=record and recorder(record)) as url:
        announce(url)
        log.info("sandbox.serving", url=url, calls_in_script=len(calls))
        playing = asyncio.ensure_future(play(sandbox, calls, clock, log))
        try:
            await stop.wait()
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
    log.info("sandbox.stopped", url=url)


async def _nowhere(url: str, headers: object, body: bytes) -> int:
    return 0
