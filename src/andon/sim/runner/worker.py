"""The job's own process, standing for `Runner.Worker`: one job in, an exit code out.

The order comes as one JSON line on standard input, never on the command line; later lines ask for
the end of the job. When the listener is gone the input ends and the job goes on, as with the
official runner, which then waits for messages that never come.
Exit code: 100 + the result (100 succeeded, 102 failed, 103 cancelled); any other is a crash.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from andon.runtime.environment import environment
from andon.runtime.wall_time import monotonic
from andon.sim.runner.job import JobRun
from andon.sim.runner.job_log import JobLog
from andon.sim.runner.job_steps import JobSteps
from andon.sim.runner.messages import JobOrder, StepReport
from andon.sim.runner.reporter import Reporter
from andon.sim.runner.script_steps import ScriptSteps
from andon.sim.runner.step_process import Stop
from andon.sim.runner.terminal import Diagnostics
from andon.sim.runner.timings import Timings

RESULTS = {"success": 100, "failure": 102, "cancelled": 103}


def main() -> int:
    """Runs the job that the listener sends."""
    # The listener decides what a signal means for the job and tells it through the pipe. A handler
    # rather than "ignore", which the steps would inherit.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    diagnostics = Diagnostics(2)
    lines = _lines(0)
    order = cast("JobOrder | None", json.loads(next(lines, b"null")))
    if order is None:
        diagnostics.note("no job came")
        return 1
    timings = Timings(**cast("dict[str, Any]", order["timings"]))
    stop = Stop()
    threading.Thread(target=_follow, args=(lines, stop, diagnostics), daemon=True).start()
    diagnostics.note(f"job {order['job']['id']} {order['job']['name']!r} starts")
    root = Path.cwd()
    log = JobLog(root / "_diag" / "pages" / f"job-{order['job']['id']}.log")
    reporter = Reporter(order, timings, diagnostics)
    run = JobRun(
        order,
        _steps(order),
        root=root,
        environment=environment(),
        log=log,
        stop=stop,
        reporter=reporter,
        timings=timings,
    )
    conclusion = run.run()
    reporter.close()
    log.close()
    diagnostics.note(f"job {order['job']['id']} ends: {conclusion}")
    _complete(order, timings, log.path, conclusion, run.table.rows(), diagnostics)
    log.path.unlink(missing_ok=True)
    return RESULTS[conclusion]


def _steps(order: JobOrder) -> JobSteps:
    workflow = order["workflow"]
    if workflow is None:
        return ScriptSteps(order["job"])
    # Here and not above: few runners run a workflow file.
    from andon.sim.runner.act_steps import ActSteps

    return ActSteps(order["job"], workflow)


def _complete(
    order: JobOrder, timings: Timings, log: Path, conclusion: str, steps: list[StepReport], diagnostics: Diagnostics
) -> None:
    """Hands over the log and the conclusion, for as long as the server may still want them."""
    from andon.sim.runner.server import Answer, Server, Unreachable

    job_id = order["job"]["id"]
    server = Server(order["server_url"], order["token"], timeout_s=timings.request_s)
    give_up_at = monotonic() + timings.report_limit_s
    pause, never = timings.reconnect_first_s, threading.Event()
    log_sent = False
    while True:
        try:
            if not log_sent:
                try:
                    server.upload_log(job_id, log)
                except Answer as error:
                    diagnostics.note(f"the log was refused: {error}")
                log_sent = True
            server.complete(order["session"], job_id, conclusion, steps)
            break
        except Answer as error:
            diagnostics.note(f"the end of the job was refused: {error}")
            break
        except Unreachable as error:
            diagnostics.note(f"the end of the job could not be told: {error}")
            if monotonic() + pause > give_up_at:
                break
            never.wait(pause)
            pause = min(pause * 2, timings.reconnect_last_s)
    server.close()


def _follow(lines: Iterator[bytes], stop: Stop, diagnostics: Diagnostics) -> None:
    for line in lines:
        reason = str(json.loads(line)["reason"])
        stop.request(reason)
        diagnostics.note(f"told to stop: {reason}")


def _lines(descriptor: int) -> Iterator[bytes]:
    """Lines read from the bare descriptor: a buffered reader held by a thread breaks the exit."""
    waiting = b""
    while chunk := os.read(descriptor, 65536):
        *whole, waiting = (waiting + chunk).split(b"\n")
        yield from whole


if __name__ == "__main__":
    sys.exit(main())
