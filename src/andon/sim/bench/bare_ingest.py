"""The bare webhook receiver that the product's is measured against: run as a program of its own.

Starlette on uvicorn, the same signature check, a typed parse, and one writer thread that inserts by
GUID and commits together what waits, `synchronous=FULL`. 202 after the commit; nothing else.
"""

import asyncio
import queue
import socket
import sqlite3
import sys
import threading
from pathlib import Path

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from andon.github import signature
from andon.runtime.clock import Clock, SystemClock
from andon.runtime.fast_loop import fast_event_loop

_MAX_GROUP = 256
_TABLE = """
    CREATE TABLE IF NOT EXISTS deliveries (
        guid TEXT PRIMARY KEY, event TEXT NOT NULL, action TEXT, received_at INTEGER NOT NULL, body BLOB NOT NULL
    )
"""

Row = tuple[str, str, str, int, bytes]


class _Job(msgspec.Struct):
    id: int
    status: str


class _Event(msgspec.Struct):
    action: str
    workflow_job: _Job | None = None


class Writer:
    """One thread, one connection, one commit for everything that waits."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._path, self._loop = path, loop
        self._queue: queue.SimpleQueue[tuple[Row, asyncio.Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="bare-writer", daemon=True).start()

    def write(self, row: Row) -> asyncio.Future[None]:
        """Done once the row is durable."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((row, done))
        return done

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-16000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(_TABLE)
        while True:
            group = [self._queue.get()]
            while len(group) < _MAX_GROUP:
                try:
                    group.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            connection.execute("BEGIN")
            connection.executemany("INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?, ?, ?)", [row for row, _ in group])
            connection.execute("COMMIT")
            self._loop.call_soon_threadsafe(_finish, [done for _, done in group])


def _finish(waiting: list[asyncio.Future[None]]) -> None:
    for done in waiting:
        if not done.done():
            done.set_result(None)


def make_app(path: Path, secret: str, clock: Clock, loop: asyncio.AbstractEventLoop) -> Starlette:
    """The application with its one route, that of the product."""
    writer = Writer(path, loop)
    parse = msgspec.json.Decoder(_Event).decode

    async def receive(request: Request) -> Response:
        body = await request.body()
        if not signature.is_signed(secret, body, request.headers.get(signature.HEADER)):
            return Response(status_code=401)
        headers = request.headers
        at = int(clock.now().timestamp() * 1_000_000)
        await writer.write((headers["x-github-delivery"], headers["x-github-event"], parse(body).action, at, body))
        return Response(b"{}", 202, media_type="application/json")

    return Starlette(routes=[Route("/webhooks/github", receive, methods=["POST"])])


def main(arguments: list[str]) -> None:
    """Serves until SIGTERM. Arguments: the database file, and the file with the secret."""
    path, secret = Path(arguments[0]), Path(arguments[1]).read_text().strip()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)

    async def serve() -> None:
        app = make_app(path, secret, SystemClock(), asyncio.get_running_loop())
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, server_header=False, ws="none")
        print(msgspec.json.encode({"ready": True, "url": _url(listener)}).decode(), flush=True)  # noqa: T201
        await uvicorn.Server(config).serve(sockets=[listener])

    with asyncio.Runner(loop_factory=fast_event_loop()) as runner:
        runner.run(serve())


def _url(listener: socket.socket) -> str:
    return "http://{}:{}".format(*listener.getsockname())


if __name__ == "__main__":
    main(sys.argv[1:])
