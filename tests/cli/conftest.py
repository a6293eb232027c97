"""A control plane that says what a test wants said, and `andon` as a function and as a process."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from andon.cli.main import main

PATIENCE_S = 30.0


class FakeServer:
    """Answers the read API from plain lists."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.hosts: list[dict[str, Any]] = []
        self.answers: dict[str, tuple[int, Any]] = {
            "/readyz": (200, {"status": "ready"}),
            "/healthz": (200, {"status": "ok", "version": "1"}),
        }
        self.page = 500
        self.tokens: list[str | None] = []
        self.asked: list[str] = []
        self.hold: threading.Event | None = None
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.asked.append(self.path)
                fake.tokens.append(self.headers.get("authorization"))
                if fake.hold is not None:
                    fake.hold.wait(PATIENCE_S)
                status, body = fake.answer(self.path)
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, asked: str) -> tuple[int, Any]:
        path = urlsplit(asked).path
        query = {key: values[0] for key, values in parse_qs(urlsplit(asked).query).items()}
        if path in self.answers:
            status, body = self.answers[path]
            return status, body(query) if callable(body) else body
        if path == "/api/v1/hosts":
            return self._page(self.hosts, query)
        if path == "/api/v1/jobs":
            wanted = ("repository", "pool")
            found = [
                job
                for job in self.jobs
                if query.get("state", job["status"]) == job["status"]
                and all(query.get(name, job[name]) == job[name] for name in wanted)
            ]
            return self._page(found, query)
        error = {"code": "not_found", "message": "No job 99 is known here.", "hint": "Is it watched?"}
        return 404, {"error": error}

    def _page(self, items: list[dict[str, Any]], query: dict[str, str]) -> tuple[int, Any]:
        start = int(query.get("cursor", 0))
        end = start + min(self.page, int(query["limit"]))
        return 200, {"items": items[start:end], "next": str(end) if end < len(items) else None}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    try:
        yield fake
    finally:
        if fake.hold is not None:
            fake.hold.set()
        fake.close()


class Ran:
    """What one call of `andon` did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Andon = Callable[..., Ran]


@pytest.fixture
def andon(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Andon:
    """`andon("why", "5")` in this process, in an empty folder, without settings from outside."""
    for name in [name for name in os.environ if name.startswith("ANDON_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture
def start(tmp_path: Any) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `python -m andon ...` as a process; whatever still lives at the end is ended."""
    made: list[subprocess.Popen[str]] = []

    def run(*arguments: object, prelude: str | None = None) -> subprocess.Popen[str]:
        program = ["-m", "andon"] if prelude is None else ["-c", prelude]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("ANDON_")}
        process = subprocess.Popen(
            [sys.executable, *program, *(str(one) for one in arguments)],
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        made.append(process)
        return process

    yield run
    for process in made:
        if process.poll() is None:
            # Not by SIGKILL: what serves ends what it started.
            process.terminate()
        process.communicate()
