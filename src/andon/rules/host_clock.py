"""When a host's clock closes it to new work, and when it opens again (interfaces.md section 10).

A wrong clock makes deadlines, certificates and evidence wrong. Only what this rule closed does it
open: a cordon with any other reason is a person's.
"""

from datetime import timedelta

import msgspec

from andon.model.enrolment import CLOCK_TOLERANCE
from andon.model.host_states import Intent
from andon.model.nouns import Host

BECAUSE = "its clock is "
"""Begins the reason of every cordon by this rule."""
RIGHT_AGAIN = CLOCK_TOLERANCE / 2
"""Less than this opens the host again: a clock at the edge does not make it open and close in turn."""


class ClockVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with the host's intent: an event of `INTENTS`, and the reason."""

    event: str
    reason: str


def judge_clock(host: Host, off: timedelta) -> ClockVerdict | None:
    """`off` is the host's clock minus ours. None: nothing changes."""
    if abs(off) > CLOCK_TOLERANCE and host.intent is Intent.OPEN:
        return ClockVerdict(event="cordon", reason=f"{BECAUSE}{off_text(off)}; set it right and it opens by itself")
    ours = host.intent is Intent.CORDONED and (host.reason or "").startswith(BECAUSE)
    if abs(off) < RIGHT_AGAIN and ours:
        return ClockVerdict(event="uncordon", reason="its clock is right again")
    return None


def off_text(off: timedelta) -> str:
    """How far off a clock is, such as "612 s ahead of the control plane's"."""
    way = "ahead of" if off > timedelta(0) else "behind"
    return f"{abs(off).total_seconds():.0f} s {way} the control plane's"
