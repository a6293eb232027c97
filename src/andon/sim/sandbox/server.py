"""Serves a sandbox GitHub over HTTP: `andon sandbox serve`, the demo, and tests over real sockets."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn

from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.logging import logger
from andon.sim.sandbox.app import make_app
from andon.sim.sandbox.chance import Chance
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.pump import Deliver, HttpDelivery, Pump
from andon.sim.sandbox.script import play, read_script
from andon.sim.sandbox.timings import Timings

_GRACE_S = 3
"""How long calls that are being answered may take when the server stops."""


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals to its caller and says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()


@asynccontextmanager
async def serving(
    sandbox: SandboxGitHub, *, host: str = "127.0.0.1", port: int = 0, deliver: Deliver | None = None
) -> AsyncGenerator[str]:
    """Serves `sandbox` while the block runs; gives its address, which also becomes its `base_url`.

    Raises Refused when the address cannot be listened on.
    """
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    sandbox.base_url = url
    config = uvicorn.Config(
        make_app(sandbox),
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config)
    over_http = HttpDelivery() if deliver is None else None
    pump = Pump(sandbox, deliver or over_http or _nowhere)
    serving_it = asyncio.ensure_future(server.serve(sockets=[listening]))
    pumping = asyncio.ensure_future(pump.run())
    try:
        await server.answering.wait()
        yield url
    finally:
        sandbox.close()
        server.should_exit = True
        pumping.cancel()
        await asyncio.gather(pumping, return_exceptions=True)
        await serving_it
        listening.close()
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
) -> None:
    """Serves a fresh sandbox until `stop` is set; `announce` is called with its address once it answers.

    Raises Refused for a script that cannot be used and for an address that cannot be listened on.
    """
    log = logger("sandbox")
    calls = read_script(script) if script is not None else []
    sandbox = SandboxGitHub(clock, chance, timings=timings, shuffle=shuffle, accepted_token=accepted_token)
    async with serving(sandbox, host=host, port=port) as url:
        announce(url)
        log.info("sandbox.serving", url=url, calls_in_script=len(calls))
        playing = asyncio.ensure_future(play(sandbox, calls, clock, log))
        try:
            await stop.wait()
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
    log.info("sandbox.stopped", url=url)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(512)
    except (OSError, OverflowError) as error:
        listening.close()
        raise Refused(f"{host}:{port}: cannot listen there ({error}). Name a free address with --listen.") from None
    listening.setblocking(False)
    return listening


async def _nowhere(url: str, headers: object, body: bytes) -> int:
    return 0
