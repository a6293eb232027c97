"""Ends what a job runs, and leaves its runner: the step fails, and the runner says so to GitHub with its log.

Asks first (SIGTERM), and takes away what is left after a while (SIGKILL). What began later - steps that clean up, the
completed hook - is left.
"""

import contextlib
import os
import signal

from andon.agent.process_identity import all_pids, line_of, open_process, start_ticks
from andon.model.workspaces import JobProcess
from andon.runtime.clock import Clock

PATIENCE_S = 10.0
_LOOK_S = 0.1


def _below(job: JobProcess) -> list[tuple[int, int]]:
    """The processes that come from the job's own, with their starts."""
    found: list[tuple[int, int]] = []
    for pid in all_pids():
        start = start_ticks(pid)
        if pid != job.pid and start is not None and job.pid in line_of(pid)[1:]:
            found.append((pid, start))
    return found


def _signal(process: tuple[int, int], number: signal.Signals) -> bool:
    """Whether it was there."""
    file = open_process(*process)
    if file is None:
        return False
    try:
        signal.pidfd_send_signal(file, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(file)
    return True


async def end_steps(job: JobProcess, clock: Clock) -> int:
    """Returns how many processes it ended, once they are gone or had SIGKILL; 0 when the job's process is gone."""
    if start_ticks(job.pid) != job.start:
        return 0
    found = _below(job)
    ended = [process for process in found if _signal(process, signal.SIGTERM)]
    until = clock.monotonic() + PATIENCE_S
    left = ended
    while left and clock.monotonic() < until:
        await clock.sleep(_LOOK_S)
        left = [(pid, start) for pid, start in left if start_ticks(pid) == start]
    with contextlib.suppress(OSError):
        for process in left:
            _signal(process, signal.SIGKILL)
    return len(ended)
