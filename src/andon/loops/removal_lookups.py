"""Asks GitHub about many registrations that are to be removed at once: one list of a place, where that is cheaper.

When a host is lost, dozens of removals fall due together. The first of them asks for all that are due at its
place; an answer is used once, and soon. That a list of several pages lacks an entry is no evidence: pages move
while entries are removed, so that one is asked for by its name.
"""

import asyncio

from andon.github.asking import PAGE
from andon.github.call import Priority
from andon.github.outcomes import Failed
from andon.github.runner_payloads import RunnerObject
from andon.github.scope import Scope
from andon.loops.fleet import Fleet
from andon.rules.lookups import lists_pay
from andon.store.outbox import Act
from andon.store.suspects import due_removals

FRESH_S = 5.0
"""An answer older than this removes nothing: then GitHub is asked again."""


class _Place:
    """Where runners are registered, and what its list said last."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.pages = 1
        self.listed: dict[str, RunnerObject] = {}
        self.listed_for: set[str] = set()
        """Names whose removal has not taken its answer yet."""
        self.at = float("-inf")
        """When the list was asked for, or failed (monotonic)."""


class RemovalLookups:
    """What removals ask instead of GitHub."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._places: dict[Scope, _Place] = {}

    async def runner(self, act: Act, priority: Priority) -> RunnerObject | Failed | None:
        """The registration that the act names; None only when a whole answer lacks it."""
        name = str(act.payload["name"])
        scope = self._scope(act.payload)
        place = self._places.setdefault(scope, _Place())
        async with place.turn:
            if not self._is_fresh(place):
                await self._look(scope, place, name, priority)
            if name in place.listed_for:
                place.listed_for.discard(name)
                found = place.listed.get(name)
                if found is not None or place.pages == 1:
                    return found
        return await self._fleet.github.find_runner(scope, name, priority=priority)

    def _scope(self, payload: dict[str, str]) -> Scope:
        return self._fleet.scope(payload["owner"], payload["repository"])

    def _is_fresh(self, place: _Place) -> bool:
        return self._fleet.clock.monotonic() - place.at <= FRESH_S

    async def _look(self, scope: Scope, place: _Place, name: str, priority: Priority) -> None:
        """Lists the place where that pays. A list that failed leaves each to ask by itself for a while."""
        place.listed, place.listed_for = {}, set()
        now, at = self._fleet.clock.now(), self._fleet.clock.monotonic()
        due = await self._fleet.store.read(lambda connection: due_removals(connection, now))
        wanted = {name, *(str(each["name"]) for each in due if self._scope(each) == scope)}
        if not lists_pay(len(wanted), place.pages):
            return
        place.at = at
        got = await self._fleet.github.list_runners(scope, priority=priority)
        if isinstance(got, Failed):
            return
        place.pages = max(1, -(-len(got.items) // PAGE))
        place.listed = {runner.name: runner for runner in got.items}
        place.listed_for = wanted
