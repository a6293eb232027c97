"""Serves an application on a bound socket: for the control plane and for the sandbox GitHub.

The signals stay with the command; uvicorn's own handlers would end the process behind its back.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from andon.runtime.errors import Refused

GRACE_S = 3
"""How long requests under way may take when the server stops."""


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Certificate and key as PEM files."""

    certificate: Path
    key: Path


def check_tls(tls: Tls) -> None:
    """Raises Refused, with one sentence, for a certificate and a key that cannot be served with."""

    def no_password() -> bytes:
        raise Refused(f"{tls.key}: the TLS key is encrypted. Write it without a password, readable by its owner only.")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, password=no_password)
    except FileNotFoundError:
        missing = tls.certificate if not tls.certificate.exists() else tls.key
        raise Refused(f"{missing}: no such file. Correct [server] tls_cert_file and tls_key_file.") from None
    except ssl.SSLError as error:
        what = "do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "are no PEM certificate and key"
        raise Refused(
            f"{tls.certificate} and {tls.key} {what}. Correct [server] tls_cert_file and tls_key_file."
        ) from None
    except OSError as error:
        raise Refused(f"{tls.key}: the TLS files cannot be read ({error.strerror}). Make them readable.") from None


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises Refused with one sentence."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(512)
    except (OSError, OverflowError) as error:
        made.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise Refused(f"{host}:{port}: cannot listen there ({reason}). Name a free address with --listen.") from None
    made.setblocking(False)
    return made


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """The address that a listening socket answers at."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


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
    app: ASGIApp, listener: socket.socket, *, before_stop: Callable[[], None], tls: Tls | None = None
) -> AsyncGenerator[None]:
    """Answers requests while the block runs.

    `before_stop` is called when it ends, so that held requests and streams let go by themselves.
    Raises Refused for TLS files that cannot be used.
    """
    if tls is not None:
        check_tls(tls)
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            # Proxies' words about clients are believed only where the owner declared one.
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_S,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=str(tls.key) if tls else None,
        )
    )
    running = asyncio.ensure_future(server.serve(sockets=[listener]))
    answering = asyncio.ensure_future(server.answering.wait())
    try:
        await asyncio.wait({running, answering}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
            raise Refused(f"{url_of(listener)}: the server ended before it answered. Its log says why.")
        yield
    finally:
        answering.cancel()
        before_stop()
        server.should_exit = True
        await asyncio.gather(running, answering, return_exceptions=True)
        listener.close()


class Front:
    """What answers on a socket: one application after the other, with nobody turned away between them."""

    def __init__(self, listener: socket.socket, *, tls: Tls | None = None) -> None:
        self._listener, self._tls = listener, tls
        self._stack = AsyncExitStack()
        self._app: ASGIApp | None = None
        self._before_stop: Callable[[], None] = lambda: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None
        await self._app(scope, receive, send)

    async def show(self, app: ASGIApp, *, before_stop: Callable[[], None]) -> bool:
        """Lets `app` answer from now on; the one before ends its streams. Says whether it is the first."""
        first = self._app is None
        self._before_stop()
        self._app, self._before_stop = app, before_stop
        if first:
            answers = serving(self, self._listener, before_stop=lambda: self._before_stop(), tls=self._tls)
            await self._stack.enter_async_context(answers)
        return first

    async def close(self) -> None:
        """Ends the server; what is under way has `GRACE_S`."""
        await self._stack.aclose()
