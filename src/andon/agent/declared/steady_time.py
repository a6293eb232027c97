"""The time of day as it was when we began, and since then only as time since boot goes on.

Ages of what was declared are told by the times of files. A clock that is set forward by a year while we run makes
nothing old; one that was wrong when we began is the host's own trouble, which the control plane reports.
"""

from collections.abc import Callable
from datetime import datetime


def steady_time(now: Callable[[], datetime], up_s: Callable[[], float]) -> Callable[[], float]:
    """Seconds of the day's time. `up_s` gives seconds since boot."""
    apart = now().timestamp() - up_s()
    return lambda: up_s() + apart
