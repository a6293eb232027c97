"""How often each loop looks when nothing nudges it, in seconds: the net below the nudges (law 2)."""

import msgspec

from andon.loops.leadership import TERMS, Terms


class Periods(msgspec.Struct, frozen=True, kw_only=True):
    """The nets of one control plane. The simulator, where no nudge is lost in between, has wider ones."""

    deliveries: float = 5.0
    dispatch: float = 5.0
    outbox: float = 5.0
    budgets: float = 10.0
    claims: float = 10.0
    hosts: float = 5.0
    incidents: float = 5.0
    knock: float = 5.0
    registrations: float = 60.0
    withheld: float = 60.0
    leadership: Terms = TERMS


PERIODS = Periods()
