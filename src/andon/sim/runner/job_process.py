"""The listener's side of a running job: starts its process, keeps its lock, asks for its end."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from andon.runtime.wall_time import monotonic, now_utc
from andon.sim.runner.jit_config import Registration
from andon.sim.runner.messages import Job, JobOrder, WorkflowOrder
from andon.sim.runner.server import Answer, Server, Unreachable
from andon.sim.runner.timings import Timings

RESULTS = {100: "Succeeded", 101: "SucceededWithIssues", 102: "Failed", 103: "Canceled", 104: "Skipped"}


class JobProcess:
    """One job's process. `on_end` gets its exit code, `on_lost` is called when its lock is lost;
    both on threads of this object. A fault in the job is played here: a worker that never gets its
    order, or a lock that nobody renews."""

    def __init__(
        self,
        job: Job,
        *,
        session: str,
        registration: Registration,
        folder: Path,
        environment: Mapping[str, str],
        timings: Timings,
        workflow: WorkflowOrder | None,
        on_end: Callable[[int], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.job = job
        self.stop_reason: str | None = None
        self._session = session
        self._registration = registration
        self._timings = timings
        self._workflow: WorkflowOrder | None = workflow
        self._on_end = on_end
        self._on_lost = on_lost
        self._ended = threading.Event()
        self._limit: threading.Timer | None = None
        fault = job.get("fault")
        hangs = fault is not None and fault["kind"] == "worker_hangs"
        self._process = self._start(folder, environment, with_order=not hangs)
        if hangs:
            self._limit = self._end_after((fault or {}).get("seconds") or 0.0)
        threading.Thread(target=self._wait, daemon=True).start()
        if fault is None or fault["kind"] not in ("worker_hangs", "lock_lost"):
            threading.Thread(target=self._renew, daemon=True).start()

    def stop(self, reason: str) -> None:
        """Asks for the end of the job: "cancel", "shutdown" or "lost"; the first reason counts."""
        if self.stop_reason is not None:
            return
        self.stop_reason = reason
        self._tell({"reason": reason})
        self._limit = self._end_after(self._timings.cancel_limit_s)

    def _end_after(self, seconds: float) -> threading.Timer:
        limit = threading.Timer(seconds, self._process.kill)
        limit.daemon = True
        limit.start()
        return limit

    def _start(self, folder: Path, environment: Mapping[str, str], *, with_order: bool) -> subprocess.Popen[bytes]:
        order: JobOrder = {
            "job": self.job,
            "session": self._session,
            "server_url": self._registration.server_url,
            "token": self._registration.token,
            "runner_name": self._registration.name,
            "work_folder": self._registration.work_folder,
            "timings": self._timings._asdict(),
            "workflow": self._workflow,
        }
        diagnostics = folder / "_diag" / f"Worker_{now_utc():%Y%m%d-%H%M%S}-utc.log"
        with diagnostics.open("ab") as output:
            # -P: a file in the runner's folder must not stand in for a module.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "andon.sim.runner.worker", "Runner.Worker", "spawnclient"],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                bufsize=0,
            )
        self._process = process
        if with_order:
            self._tell(order)
        return process

    def _tell(self, message: object) -> None:
        assert self._process.stdin is not None
        data = json.dumps(message).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._process.stdin.fileno(), data) :]
        except OSError:
            # It is gone; its exit code says how.
            return

    def _wait(self) -> None:
        code = self._process.wait()
        self._ended.set()
        if self._limit is not None:
            self._limit.cancel()
        self._on_end(code)

    def _renew(self) -> None:
        """The lock is valid for 10 min; failed renewals are retried until then plus 5 min."""
        server: Server | None = None
        renewed_at = monotonic()
        while not self._ended.wait(self._timings.renew_s):
            server = server or Server(
                self._registration.server_url, self._registration.token, timeout_s=self._timings.request_s
            )
            try:
                server.renew(self._session, self.job["id"])
                renewed_at = monotonic()
            except Unreachable:
                if monotonic() - renewed_at > self._timings.lock_s:
                    self._on_lost()
                    break
            except Answer:
                self._on_lost()
                break
        if server is not None:
            server.close()
