"""Shows the steps' progress at the server while the job runs, on a thread of its own.

Only the newest state counts, so a slow server is sent less, and one that is away costs the job
nothing. The HTTP client is loaded on this thread after the first step has started.
"""

import threading

from andon.sim.runner.messages import JobOrder, StepReport
from andon.sim.runner.terminal import Diagnostics
from andon.sim.runner.timings import Timings


class Reporter:
    """Sends what `show` was given last; `close` waits for the request under way."""

    def __init__(self, order: JobOrder, timings: Timings, diagnostics: Diagnostics) -> None:
        self._order = order
        self._timings = timings
        self._diagnostics = diagnostics
        self._changed = threading.Condition()
        self._newest: list[StepReport] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def show(self, steps: list[StepReport]) -> None:
        """Replaces whatever was not sent yet."""
        copy = [step.copy() for step in steps]
        with self._changed:
            self._newest = copy
            self._changed.notify()

    def close(self) -> None:
        """Drops what was not sent yet: the end of the job carries every step again."""
        with self._changed:
            self._newest = None
            self._closed = True
            self._changed.notify()
        self._thread.join(self._timings.request_s)

    def _run(self) -> None:
        steps = self._next()
        if steps is None:
            return
        # Here and not above: the first step does not wait for the client to be loaded.
        from andon.sim.runner.server import Answer, Server, Unreachable

        server = Server(self._order["server_url"], self._order["token"], timeout_s=self._timings.request_s)
        while steps is not None:
            try:
                server.report_steps(self._order["session"], self._order["job"]["id"], steps)
            except (Answer, Unreachable) as error:
                self._diagnostics.note(f"progress not shown: {error}")
            steps = self._next()
        server.close()

    def _next(self) -> list[StepReport] | None:
        with self._changed:
            while self._newest is None and not self._closed:
                self._changed.wait()
            steps, self._newest = self._newest, None
            return steps
