"""The listener: registers, waits for one job, has it run, and ends.

Exit codes as the official listener's: 0 ok whatever the job's conclusion, 1 terminated (do not
retry), 5 session conflict, 7 version deprecated.
"""

import os
import queue
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from andon.runtime.environment import environment
from andon.runtime.errors import Refused
from andon.sim.runner.jit_config import Registration, take_registration
from andon.sim.runner.job_process import RESULTS, JobProcess
from andon.sim.runner.message_pump import TERMINATED, Event, MessagePump
from andon.sim.runner.messages import Job, WorkflowOrder, job_from
from andon.sim.runner.server import Answer, Server, Unreachable
from andon.sim.runner.terminal import Terminal, open_diagnostics
from andon.sim.runner.timings import Timings

_LOST_PAUSE_S = 1.0


def main(timings: Timings | None = None, workflow: WorkflowOrder | None = None) -> int:
    """Runs the listener in the current directory with this process's environment.

    With `workflow` its job runs that workflow file's job instead of the steps that the server sends.
    """
    folder = Path.cwd()
    try:
        registration, rest = take_registration(environment())
    except Refused as refused:
        os.write(2, f"{refused}\n".encode())
        return TERMINATED
    terminal = Terminal(open_diagnostics(folder / "_diag", "Runner"))
    runner_file = folder / ".runner"
    try:
        runner_file.write_bytes(registration.runner_file)
    except OSError as error:
        terminal.line(f"An error occurred: {error}")
        return TERMINATED
    return Listener(registration, rest, folder, terminal, timings or Timings(), workflow).run()


class Listener:
    """One runner's life. The main thread acts on events; signals are events too."""

    def __init__(
        self,
        registration: Registration,
        environment: Mapping[str, str],
        folder: Path,
        terminal: Terminal,
        timings: Timings,
        workflow: WorkflowOrder | None = None,
    ) -> None:
        self._registration = registration
        self._environment = environment
        self._folder = folder
        self._terminal = terminal
        self._timings = timings
        self._workflow: WorkflowOrder | None = workflow
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._pump = MessagePump(registration, terminal, timings, self._events.put)
        self._server = Server(registration.server_url, registration.token, timeout_s=timings.request_s)
        self._running: JobProcess | None = None
        self._stopping = threading.Event()

    def run(self) -> int:
        """Returns the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: self._stop())
        self._pump.start()
        code: int | None = None
        while code is None:
            code = self._act(self._events.get())
        self._pump.close()
        self._sign_off()
        return code

    def _stop(self) -> None:
        self._stopping.set()
        self._events.put(Event("stop"))

    def _act(self, event: Event) -> int | None:
        """Acts on one event; an exit code ends the listener."""
        running = self._running
        if event.kind == "stop":
            self._terminal.line("Exiting...")
            if running is None:
                return 0
            running.stop("shutdown")
        elif event.kind == "message":
            return self._message(event.message)
        elif event.kind == "lost" and running is not None:
            running.stop("lost")
        elif event.kind == "ended" and running is not None:
            self._report_end(running, event.code)
            return 0
        elif event.kind == "exit" and running is None:
            return event.code
        # A registration that is gone while a job runs (complete removes it) is no news.
        return None

    def _message(self, message: Mapping[str, object]) -> int | None:
        """Acts on what the server says; an exit code ends the listener."""
        if message.get("kind") == "exit" and self._running is None:
            return int(str(message.get("code", 0)))
        pause_s = 0.0
        if message.get("kind") == "job" and self._running is None and not self._stopping.is_set():
            job = job_from(message)
            if self._acquire(job["id"]):
                self._start(job)
            else:
                # Lost assignment: it goes on listening, as if nothing had been said.
                self._terminal.timed("Listening for Jobs")
                pause_s = _LOST_PAUSE_S
        elif message.get("kind") == "cancel":
            running = self._running
            if running is not None and running.job["id"] == message.get("job_id"):
                running.stop("cancel")
        self._pump.go_on(pause_s)
        return None

    def _acquire(self, job_id: int) -> bool:
        pause = self._timings.reconnect_first_s
        while not self._stopping.is_set():
            try:
                self._server.acquire(self._pump.session or "", job_id)
                return True
            except Answer:
                return False
            except Unreachable:
                # Another runner gets the job after 60 s without this.
                if pause > self._timings.reconnect_last_s:
                    return False
                self._stopping.wait(pause)
                pause *= 2
        return False

    def _start(self, job: Job) -> None:
        self._terminal.timed(f"Running job: {job['name']}")
        self._running = JobProcess(
            job,
            session=self._pump.session or "",
            registration=self._registration,
            folder=self._folder,
            environment=self._environment,
            timings=self._timings,
            workflow=self._workflow,
            on_end=lambda code: self._events.put(Event("ended", code)),
            on_lost=lambda: self._events.put(Event("lost")),
        )

    def _report_end(self, running: JobProcess, code: int) -> None:
        result = RESULTS.get(code)
        if running.stop_reason == "lost":
            result = "Abandoned"
        elif result is None:
            # The job stays with the server until its lock runs out.
            self._terminal.line(
                f"An error occurred: the process of the job ended with exit code {code}. "
                "Its last words are in _diag/Worker_*.log."
            )
            result = "Canceled" if running.stop_reason else "Failed"
        self._terminal.timed(f"Job {running.job['name']} completed with result: {result}")

    def _sign_off(self) -> None:
        """Takes the runner offline; a server that is away learns it from the session's age."""
        session = self._pump.session
        if session is not None:
            try:
                Server(self._registration.server_url, self._registration.token, timeout_s=3.0).delete_session(session)
            except (Answer, Unreachable):
                pass
        (self._folder / ".runner").unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
