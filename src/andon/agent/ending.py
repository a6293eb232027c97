"""Ends one runner on the control plane's order: asks, asks louder, and then takes it away.

Called only for exactly the claim and generation that the order names (R32); the control plane has
deleted the registration at GitHub by then, so that no job can be on it.
"""

import signal
from collections.abc import Callable

from andon.agent.cgroups import end_cgroup
from andon.agent.held import Held
from andon.agent.process_identity import end_session, signal_group
from andon.agent.timing import Timing
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Nudge, wait_for_nudge


async def end_runner(
    claim: str, find: Callable[[], Held | None], *, looks: Nudge, clock: Clock, timing: Timing, log: Logger
) -> None:
    """Returns when the runner is gone.

    `find` gives the claim as it is now, None when it does not live any more; `looks` is nudged
    after each new look.
    """
    steps = ((signal.SIGINT, timing.interrupt), (signal.SIGTERM, timing.terminate), (signal.SIGKILL, timing.terminate))
    last: Held | None = None
    for number, patience in steps:
        one = find()
        if one is None:
            break
        last = one
        pid, start = (one.status.pid, one.status.pid_start) if one.status else (None, None)
        if pid is not None and start is not None:
            log.info("runner.signalled", claim=claim, pid=pid, signal=signal.Signals(number).name)
            signal_group(pid, start, number)
        if await _gone(find, patience, looks, clock):
            break
    if last is not None:
        _end_rest(last)
    if find() is not None:
        log.warning("runner.stays", claim=claim, reason="it lives on after SIGKILL")


def _end_rest(one: Held) -> None:
    """What the runner left behind, in its cgroup and in its session."""
    status = one.status
    if status is not None and status.pid is not None and status.pid_start is not None:
        end_cgroup(status.cgroup)
        end_session(status.pid, status.pid_start)


async def _gone(find: Callable[[], Held | None], patience: float, looks: Nudge, clock: Clock) -> bool:
    until = clock.monotonic() + patience
    while True:
        seen = looks.version
        if find() is None:
            return True
        left = until - clock.monotonic()
        if left <= 0:
            return False
        await wait_for_nudge(looks, seen, clock, left)
