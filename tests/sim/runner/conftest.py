"""A tiny server that speaks the runner's protocol, and real listener processes against it."""

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from andon.sim.runner.jit_config import VARIABLE
from andon.sim.runner.processes import descendants, end
from andon.sim.runner.timings import Timings

DEADLINE_S = 30.0
QUICK = {
    "interrupt_s": 0.3,
    "terminate_s": 0.3,
    "output_close_s": 0.3,
    "reconnect_first_s": 0.05,
    "reconnect_last_s": 0.1,
    "conflict_pause_s": 0.05,
    "conflict_limit_s": 0.2,
}


class FakeServer:
    """Offers jobs, keeps everything it was told. Reads and waits go through `changed`."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.calls: list[tuple[str, str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.refuse: dict[str, tuple[int, str]] = {}
        """Path's last part ("sessions", "message", "acquire", ...) -> answer, once each."""
        self.refuse_always: dict[str, tuple[int, str]] = {}
        self.log = b""
        self.closed = False
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def offer(self, steps: list[dict[str, Any]], **more: Any) -> None:
        job: dict[str, Any] = {
            "id": 7,
            "name": "test (a)",
            "key": "test",
            "run_id": 11,
            "attempt": 2,
            "run_number": 3,
            "repository": "acme/app",
            "owner": "acme",
            "workflow": "ci",
            "event": "pull_request",
            "ref": "refs/pull/5/merge",
            "branch": "5/merge",
            "sha": "a" * 40,
            "actor": "someone",
            "labels": ["self-hosted"],
            "steps": steps,
            "env": {},
            "event_payload": {"pull_request": {"head": {"ref": "topic"}, "base": {"ref": "main"}}},
            "server_url": self.url,
            "api_url": f"{self.url}/api",
        }
        self.say({"kind": "job", "job": {**job, **more}})

    def say(self, message: dict[str, Any]) -> None:
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def wait(self, what: Callable[[], Any]) -> Any:
        """The first true value of `what`, which is asked again after every request."""
        with self.changed:
            assert self.changed.wait_for(what, DEADLINE_S), self.calls
            return what()

    def bodies(self, method: str, end: str) -> list[Any]:
        return [body for verb, path, body in self.calls if verb == method and path.endswith(end)]

    def completed(self) -> dict[str, Any]:
        return self.wait(lambda: self.bodies("POST", "/complete"))[0]

    def lines(self) -> list[str]:
        """The uploaded log without its time stamps."""
        text = self.log.decode("utf-8-sig")
        return [line.partition(" ")[2] for line in text.splitlines()]

    def stop(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        last = path.partition("?")[0].rpartition("/")[2]
        with self.changed:
            self.calls.append((method, path, body))
            self.changed.notify_all()
            refusal = self.refuse.pop(last, None) or self.refuse_always.get(last)
            if refusal:
                return refusal[0], {"message": refusal[1]}
            if last == "sessions":
                return 201, {"session": f"s{len(self.bodies('POST', '/sessions'))}"}
            if last == "message":
                self.changed.wait_for(lambda: self.messages or self.closed, 20)
                return (200, self.messages.pop(0)) if self.messages else (204, None)
            if last == "log":
                self.log = body
            return 200, {}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                assert self.headers["Authorization"] == "Bearer the-token"
                plain = self.headers.get("Content-Type", "").startswith("text/plain")
                body = raw if plain else json.loads(raw or b"null")
                status, answer = server.answer(self.command, self.path, body)
                data = b"" if answer is None else json.dumps(answer).encode()
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

            def log_message(self, format: str, *args: object) -> None:
                return

        return Handler


class Runner:
    """One listener process in a folder of its own."""

    def __init__(self, folder: Path, env: dict[str, str], timings: dict[str, Any] | None, broken_output: bool) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.output = folder / "output.txt"
        if timings is None:
            command = [sys.executable, "-m", "andon.sim.runner"]
        else:
            Timings(**timings)
            code = (
                "import sys; from andon.sim.runner.listener import main; "
                f"from andon.sim.runner.timings import Timings; sys.exit(main(Timings(**{timings!r})))"
            )
            command = [sys.executable, "-c", code]
        if broken_output:
            reading, writing = os.pipe()
            os.close(reading)
        else:
            writing = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            self.process = subprocess.Popen(
                command, cwd=folder, env=env, stdout=writing, stderr=subprocess.STDOUT, start_new_session=True
            )
        finally:
            os.close(writing)

    def exit_code(self) -> int:
        return self.process.wait(DEADLINE_S)

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def wait_for_text(self, wanted: str) -> None:
        self.wait_until(lambda: wanted in self.text())

    def wait_until(self, condition: Callable[[], Any]) -> Any:
        """A file is all there is to look at, so this looks again, with a deadline."""
        deadline = time.monotonic() + DEADLINE_S
        while not (value := condition()):
            assert time.monotonic() < deadline, self.text()
            threading.Event().wait(0.01)
        return value

    def job_process(self) -> int:
        """The pid of the process that stands for Runner.Worker."""

        def find() -> int | None:
            for pid in descendants(self.process.pid):
                with contextlib.suppress(OSError):
                    if b"Runner.Worker" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                        return pid
            return None

        return self.wait_until(find)

    def stop(self) -> None:
        for pid in (*descendants(self.process.pid), self.process.pid):
            end(pid)
        self.process.wait(DEADLINE_S)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    one = FakeServer()
    yield one
    one.stop()


def encoded_jit_config(url: str, token: str = "the-token") -> str:
    def encode(value: object) -> str:
        return base64.b64encode(json.dumps(value).encode()).decode()

    runner = {"serverUrl": url, "agentId": 5, "agentName": "andon-f-host-0-x", "poolId": 1, "workFolder": "_work"}
    return encode({".runner": encode(runner), ".credentials": encode({"scheme": "OAuth", "data": {"token": token}})})


@pytest.fixture
def start(tmp_path: Path, server: FakeServer) -> Iterator[Callable[..., Runner]]:
    """`start(env={...}, timings={...})` -> Runner; `jit` replaces the JIT config, None leaves it out."""
    runners: list[Runner] = []

    def start_one(
        *,
        env: dict[str, str] | None = None,
        timings: dict[str, Any] | None = None,
        jit: str | None = "",
        broken_output: bool = False,
    ) -> Runner:
        values = {name: value for name, value in os.environ.items() if name not in ("CI", "GITHUB_ACTIONS")}
        if jit is not None:
            values[VARIABLE] = jit or encoded_jit_config(server.url)
        values.update(env or {})
        chosen = None if timings is None else {**QUICK, **timings}
        runners.append(Runner(tmp_path / "slot", values, chosen, broken_output))
        return runners[-1]

    yield start_one
    for one in runners:
        one.stop()
