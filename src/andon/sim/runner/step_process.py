"""One real process of a job, in a process group of its own: output, time limit, cancel.

A cancel is SIGINT, 7.5 s, SIGTERM, 2.5 s, then SIGKILL of the tree, per step
(github-contract.md section 6).
"""

import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import NamedTuple

from andon.runtime.wall_time import monotonic
from andon.sim.runner.processes import end_tree
from andon.sim.runner.timings import Timings

_CHUNK = 256 * 1024


class Stop:
    """A request to end the job, made once by another thread and seen by whoever waits.

    `reason` is "cancel" (asked for at GitHub), "shutdown" (the runner has to go) or "lost".
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.descriptor, self._write = os.pipe()

    def request(self, reason: str) -> None:
        """The first reason stays."""
        if self.reason is None:
            self.reason = reason
            os.write(self._write, b"x")


class Ended(NamedTuple):
    """How a process ended: `exit_code` is 128 + the signal's number for one that a signal ended."""

    exit_code: int
    cancelled: bool
    timed_out: bool
    output_open: bool
    """Something else still held the output when the runner stopped reading it."""


def run_process(
    command: Sequence[str],
    *,
    folder: Path,
    env: Mapping[str, str],
    output: Callable[[bytes], None],
    timings: Timings,
    on_start: Callable[[], None] = lambda: None,
    is_stopped: Callable[[], bool] = lambda: False,
    stop_descriptor: int | None = None,
    timeout_s: float | None = None,
) -> Ended:
    """Runs `command` to its end. Raises OSError when it cannot be started.

    When `stop_descriptor` turns readable `is_stopped` is asked once whether this process is to be
    ended; a step that runs under `always()` says no.
    """
    process = subprocess.Popen(
        list(command),
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        process_group=0,
    )
    assert process.stdout is not None
    on_start()
    watch = _Watch(process.pid, timings, timeout_s)
    poll = select.poll()
    out = process.stdout.fileno()
    ended = os.pidfd_open(process.pid)
    poll.register(out, select.POLLIN)
    poll.register(ended, select.POLLIN)
    if stop_descriptor is not None:
        poll.register(stop_descriptor, select.POLLIN)
    output_open, close_at = True, None
    try:
        while close_at is None or (output_open and monotonic() < close_at):
            pause = close_at - monotonic() if close_at is not None else watch.act()
            for descriptor, _ in poll.poll(None if pause is None else max(0, ceil(pause * 1000))):
                if descriptor == out:
                    chunk = os.read(out, _CHUNK)
                    if chunk:
                        output(chunk)
                    else:
                        output_open = False
                        poll.unregister(out)
                elif descriptor == ended:
                    process.wait()
                    poll.unregister(ended)
                    close_at = monotonic() + timings.output_close_s
                else:
                    poll.unregister(descriptor)
                    if is_stopped():
                        watch.stop("cancel")
    finally:
        os.close(ended)
        process.stdout.close()
    code = process.returncode
    return Ended(
        exit_code=code if code >= 0 else 128 - code,
        cancelled=watch.reason == "cancel",
        timed_out=watch.reason == "timeout",
        output_open=output_open,
    )


class _Watch:
    """The clock over one process: its time limit, and the signals of a stop in their order."""

    def __init__(self, pid: int, timings: Timings, timeout_s: float | None) -> None:
        self.reason: str | None = None
        self._pid = pid
        self._signals = [
            (signal.SIGINT, timings.interrupt_s),
            (signal.SIGTERM, timings.terminate_s),
            (signal.SIGKILL, None),
        ]
        self._limit_at = None if timeout_s is None else monotonic() + timeout_s
        self._next_at: float | None = None

    def stop(self, reason: str) -> None:
        if self.reason is None:
            self.reason = reason
            self._next_at = monotonic()

    def act(self) -> float | None:
        """Does what is due and says how many seconds until the next thing is."""
        if self._limit_at is not None and self.reason is None and monotonic() >= self._limit_at:
            self.stop("timeout")
        while self._next_at is not None and monotonic() >= self._next_at:
            number, pause = self._signals.pop(0)
            if number == signal.SIGKILL:
                end_tree(self._pid)
            else:
                os.killpg(self._pid, number)
            self._next_at = None if pause is None else self._next_at + pause
        due = self._limit_at if self.reason is None else self._next_at
        return None if due is None else due - monotonic()
