"""Loop "knock": asks GitHub something small when nobody else asked lately, so that its absence is noticed.

An idle fleet asks little; without this an outage would be found with the next job. The question is
conditional, so it costs nothing of the budget while the answer has not changed (limits.md 3).
"""

from datetime import timedelta

from andon.github.client import Scope
from andon.github.outcomes import FailureClass
from andon.loops.fleet import Fleet
from andon.store import registrations

QUIET = timedelta(seconds=25)
"""An answer younger than this, to whatever question, is news enough."""
AGAIN = timedelta(seconds=8)
"""How soon GitHub is asked again while it does not answer."""
REFUSED = timedelta(minutes=2)
"""A refusal is an answer, and is never free."""
CLAIMS_OF = timedelta(hours=25)


class Knock:
    """One pass asks at most once."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._asked = float("-inf")
        self._quiet = QUIET
        self._turn = 0
        """Which of the places is asked: a refusal hands it on."""

    async def run_once(self) -> float | None:
        """Asks when it is time; gives the seconds until the next look."""
        if self._fleet.lease() is None:
            return None
        clock, fact = self._fleet.clock, self._fleet.github.health()
        now = clock.monotonic()
        pause = AGAIN if fact.failing_since is not None else self._quiet
        if fact.failing_since is None and fact.answered_at is not None:
            left = QUIET - (clock.now() - fact.answered_at)
            if timedelta(0) < left <= QUIET:
                return left.total_seconds()
        due = self._asked + pause.total_seconds()
        if now < due:
            # Reached for sure by waiting so long; a rest that is left by rounding might be no step of the clock.
            return due - now
        place = await self._place()
        if place is None:
            return None
        self._asked = now
        failed = await self._fleet.github.knock(place)
        refused = failed is not None and failed.kind is not FailureClass.RETRY_LATER
        self._quiet = REFUSED if refused else QUIET
        self._turn += refused
        return None

    async def _place(self) -> Scope | None:
        """Somewhere that may be asked: a repository of the configuration, or of late work."""
        places = [(name.partition("/")[0], name) for name in self._fleet.repositories()]
        if not places:
            since = self._fleet.clock.now() - CLAIMS_OF
            known = await self._fleet.store.read(lambda connection: registrations.places_of_claims(connection, since))
            places = sorted(known)
        return self._fleet.scope(*places[self._turn % len(places)]) if places else None
