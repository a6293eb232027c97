"""The listener's ear: keeps a session open and hands on what the server says, on its own thread.

It also listens while a job runs, because that is how a cancel arrives.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from andon.runtime.errors import AndonError
from andon.runtime.wall_time import monotonic
from andon.sim.runner.jit_config import Registration
from andon.sim.runner.messages import VERSION
from andon.sim.runner.server import Answer, Server, Unreachable
from andon.sim.runner.terminal import Terminal
from andon.sim.runner.timings import Timings

TERMINATED, SESSION_CONFLICT, VERSION_DEPRECATED = 1, 5, 7

T = TypeVar("T")


class Event(NamedTuple):
    """What the listener acts on. `kind`: message, exit (with `code`), stop, ended (with `code`), lost."""

    kind: str
    code: int = 0
    message: Mapping[str, Any] = {}


class _Closed(AndonError):
    """Nobody listens to the pump any more."""


class _Refused(AndonError):
    """The server will not have this runner; `code` is the listener's exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class MessagePump:
    """Puts events through `put`; `session` is set while the runner is online."""

    def __init__(
        self,
        registration: Registration,
        terminal: Terminal,
        timings: Timings,
        put: Callable[[Event], None],
    ) -> None:
        self.session: str | None = None
        self._server = Server(registration.server_url, registration.token, timeout_s=timings.request_s)
        self._terminal = terminal
        self._timings = timings
        self._put = put
        self._handled = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Opens the session and listens."""
        self._thread.start()

    def go_on(self, pause_s: float = 0.0) -> None:
        """The last message is dealt with; the next may be asked for, after a pause."""
        if pause_s:
            self._closed.wait(pause_s)
        self._handled.set()

    def close(self) -> None:
        """Asks for no further message; a held request is left to end by itself."""
        self._closed.set()
        self._handled.set()

    def _run(self) -> None:
        try:
            self._open_session()
            self._terminal.line(f"Current runner version: '{VERSION}'")
            self._terminal.timed("Listening for Jobs")
            while not self._closed.is_set():
                self._listen_once()
        except _Closed:
            return
        except _Refused as refused:
            self._terminal.line(str(refused))
            self._put(Event("exit", refused.code))

    def _listen_once(self) -> None:
        session = self.session or ""
        try:
            message = self._patiently(lambda: self._server.next_message(session, self._timings.poll_s))
        except Answer as answer:
            if answer.status == 404:
                # The server forgot the session; the registration still stands.
                self.session = None
                self._open_session()
                return
            raise _refusal("Failed to get a message.", answer) from None
        if message is not None:
            self._handled.clear()
            self._put(Event("message", message=message))
            self._handled.wait()

    def _open_session(self) -> None:
        first_conflict: float | None = None
        self._terminal.line()
        while True:
            if self._closed.is_set():
                raise _Closed
            try:
                self.session = self._patiently(self._server.create_session)
                self._terminal.line("√ Connected to GitHub")
                self._terminal.line()
                return
            except Answer as answer:
                if answer.status != 409:
                    raise _refusal("Failed to create a session.", answer) from None
            now = monotonic()
            if first_conflict is None:
                first_conflict = now
                self._terminal.timed("A session for this runner already exists.")
            if now - first_conflict >= self._timings.conflict_limit_s:
                raise _Refused("Failed to create session. A session for this runner already exists.", SESSION_CONFLICT)
            self._closed.wait(self._timings.conflict_pause_s)

    def _patiently(self, call: Callable[[], T]) -> T:
        """Repeats `call` while the server is away, with the official runner's two lines."""
        pause, told = self._timings.reconnect_first_s, False
        while True:
            try:
                answer = call()
            except Unreachable as error:
                if self._closed.is_set():
                    raise _Closed from None
                if not told:
                    self._terminal.timed(f"Runner connect error: {error}. Retrying until reconnected.")
                    told = True
                self._closed.wait(pause)
                pause = min(pause * 2, self._timings.reconnect_last_s)
                continue
            if told:
                self._terminal.timed("Runner reconnected.")
            return answer


def _refusal(what: str, answer: Answer) -> _Refused:
    if "deprecated" in answer.text.lower():
        text = f"An error occurred: Runner version v{VERSION} is deprecated and cannot receive messages."
        return _Refused(text, VERSION_DEPRECATED)
    if answer.status in (401, 404):
        return _Refused(
            f"{what} The runner registration has been deleted from the server, please re-configure. Runner "
            "registrations are automatically deleted for runners that have not connected to the service recently.",
            TERMINATED,
        )
    return _Refused(f"{what} The server answered {answer}", TERMINATED)
