"""The runner's side of the protocol under `/_runner/`: one keep-alive connection, JSON both ways.

Not for use by two threads at once: each thread opens its own.
"""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from andon.runtime.errors import AndonError
from andon.sim.runner.messages import VERSION, StepReport


class Unreachable(AndonError):
    """The server did not answer, or answered that it cannot just now (5xx). Try again."""


class Answer(AndonError):
    """The server answered with a refusal; `status` says which."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}".strip())
        self.status = status
        self.text = text


class Server:
    """`timeout_s` bounds every request; a held one (`next_message`) is given its hold on top."""

    def __init__(self, url: str, token: str, *, timeout_s: float) -> None:
        parts = urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._base = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": f"actions-runner/{VERSION}"}
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    def create_session(self) -> str:
        """Brings the runner online. Refusals: 401 registration gone, 409 there is a session."""
        answer = self._send("POST", "/_runner/sessions", {"version": VERSION, "os": "Linux"})
        return str(answer["session"])

    def next_message(self, session: str, wait_s: int) -> dict[str, Any] | None:
        """The next message, or None when nothing came within `wait_s`."""
        path = f"/_runner/sessions/{quote(session)}/message?wait_s={wait_s}"
        answer = self._send("GET", path, None, extra_s=wait_s)
        return answer or None

    def acquire(self, session: str, job_id: int) -> None:
        """Takes the job. Refusals: 404 or 409, the assignment is gone."""
        self._send("POST", f"/_runner/sessions/{quote(session)}/acquire", {"job_id": job_id})

    def renew(self, session: str, job_id: int) -> None:
        """Keeps the job's lock. Refusal: 404, the job is no longer this runner's."""
        self._send("POST", f"/_runner/jobs/{job_id}/renew", {"session": session})

    def report_steps(self, session: str, job_id: int, steps: list[StepReport]) -> None:
        """Shows the steps' progress."""
        self._send("PATCH", f"/_runner/jobs/{job_id}/steps", {"session": session, "steps": steps})

    def upload_log(self, job_id: int, log: Path) -> None:
        """Sends the job's whole log, streamed from the file."""
        self._send("PUT", f"/_runner/jobs/{job_id}/log", log)

    def complete(self, session: str, job_id: int, conclusion: str, steps: list[StepReport]) -> None:
        """Ends the job; a JIT runner's registration ends with it."""
        body = {"session": session, "conclusion": conclusion, "steps": steps}
        self._send("POST", f"/_runner/jobs/{job_id}/complete", body)

    def delete_session(self, session: str) -> None:
        """Takes the runner offline."""
        self._send("DELETE", f"/_runner/sessions/{quote(session)}", None)

    def close(self) -> None:
        """Closes the connection; the next request opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(
        self, method: str, path: str, body: dict[str, Any] | Path | None, *, extra_s: float = 0.0
    ) -> dict[str, Any]:
        reused = self._connection is not None
        try:
            return self._send_once(method, path, body, extra_s)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.close()
            if not reused:
                raise Unreachable("The server closed the connection") from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(str(error) or type(error).__name__) from None
        # A kept connection that the server closed meanwhile says nothing about the server.
        try:
            return self._send_once(method, path, body, extra_s)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(str(error) or type(error).__name__) from None

    def _send_once(self, method: str, path: str, body: dict[str, Any] | Path | None, extra_s: float) -> dict[str, Any]:
        connection = self._connection or self._connect()
        connection.timeout = self._timeout_s + extra_s
        if connection.sock is not None:  # pyright: ignore[reportUnnecessaryComparison]  # None before the first request
            connection.sock.settimeout(connection.timeout)
        headers = dict(self._headers)
        if isinstance(body, Path):
            headers["Content-Type"] = "text/plain; charset=utf-8"
            headers["Content-Length"] = str(body.stat().st_size)
            with body.open("rb") as file:
                connection.request(method, self._base + path, body=file, headers=headers)
        else:
            headers["Content-Type"] = "application/json"
            connection.request(
                method, self._base + path, body=None if body is None else json.dumps(body).encode(), headers=headers
            )
        response = connection.getresponse()
        text = response.read()
        if response.status >= 500:
            raise Unreachable(f"The server answered {response.status} {response.reason}")
        if response.status >= 400:
            raise Answer(response.status, text[:500].decode("utf-8", "replace"))
        try:
            value: Any = json.loads(text) if text else {}
        except ValueError:
            raise Unreachable("The server's answer is no JSON") from None
        return value

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        self._connection = kind(self._host, self._port, timeout=self._timeout_s)
        return self._connection
