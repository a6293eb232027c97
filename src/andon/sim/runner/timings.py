"""Every duration of the stand-in runner in one place, so that a test can shorten them.

The defaults are the official runner's. The listener sends them to the job's process with the job.
"""

from typing import NamedTuple


class Timings(NamedTuple):
    """All in seconds."""

    interrupt_s: float = 7.5
    """After SIGINT, before SIGTERM."""
    terminate_s: float = 2.5
    """After SIGTERM, before SIGKILL of the tree."""
    output_close_s: float = 5.0
    """How long a step's output may stay open after its process ended."""
    cancel_limit_s: float = 285.0
    """A cancelled job's process is ended after this (the server's 5 min, minus 15 s)."""
    renew_s: float = 60.0
    lock_s: float = 900.0
    """Failed renewals are retried until the lock (10 min) plus 5 min; then the job is lost."""
    poll_s: int = 50
    request_s: float = 20.0
    reconnect_first_s: float = 0.5
    reconnect_last_s: float = 15.0
    """Pause between attempts to reconnect: doubles from the first to the last."""
    conflict_pause_s: float = 30.0
    conflict_limit_s: float = 240.0
    """A session conflict is retried for 4 min."""
    report_limit_s: float = 600.0
    """How long the end of a job is offered to a server that does not answer."""
