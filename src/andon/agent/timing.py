"""The agent's own periods and patience, in seconds, in one place."""

import msgspec

from andon.model.wire import HOLD_SECONDS


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. Together SIGINT and SIGTERM stay well inside the 30 s of interfaces.md section 3."""

    look: float = 5.0
    """Between two looks at the slots when nothing nudges."""
    answer: float = HOLD_SECONDS + 10.0
    """For an answer to a sync; longer than the control plane may hold it."""
    settle: float = 0.1
    """How long a sync is left alone before a local change may replace it by a newer one."""
    breath: float = 1.0
    """Between two syncs when the control plane has nothing new and does not hold them."""
    first_retry: float = 0.5
    longest_retry: float = 5.0
    refused_retry: float = 30.0
    """After 401, 409 or 426: only a person can put that right."""
    interrupt: float = 5.0
    """From SIGINT to SIGTERM."""
    terminate: float = 3.0
    """From SIGTERM to SIGKILL."""
    faults: float = 30.0
    """Between two checks of what a slot needs (its user, its command)."""
    first_restart: float = 5.0
    """Between two starts of an adopted runner's listener at first; doubled each time that it ends again."""
    longest_restart: float = 600.0
    steady_looks: int = 12
    """Looks at an idle listener after which its earlier ends are forgotten."""
    remove_again: float = 60.0
    """Between two tries to remove a folder that a process still uses."""
