"""Loop "liveness": reads GitHub's lists of our runners, and removes registrations that nothing stands behind.

The lists are read seldom and conditionally, only where there is something of ours (R10, limits.md 3).
A list that failed, is empty, or lacks what is known to be at work ends the pass for its place (R30).
"""

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import Connection

from andon.github.asking import PAGE
from andon.github.client import Scope
from andon.github.outcomes import Failed
from andon.github.runner_payloads import RunnerObject
from andon.loops.fleet import Fleet
from andon.model.journal import Entry
from andon.model.nouns import Claim
from andon.rules.liveness_registrations import MOST, OTHERS_EVERY_S, is_plausible, read_period_s, why_kept
from andon.store import adopted_slots, claims, registrations
from andon.store.columns import to_micros
from andon.store.registrations import Place, Sighting, Suspect
from andon.store.transaction import Tx

ACTOR = "loop:liveness"
OURS_FOR = timedelta(hours=25)
"""GitHub removes an ephemeral runner by itself when it was away for a day (contract section 3)."""
FIRST_AFTER_S = 30.0
"""After a start others ask first."""


class Registrations:
    """One pass reads the places that are due."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._due: dict[Place, float] = {}
        self._adopted: frozenset[str] = frozenset()
        """Adopted runners that were known at the last pass."""
        self._pages: dict[Place, int] = {}
        """What a whole read of a place costs when everything has changed."""

    async def run_once(self) -> float | None:
        """Reads what is due; gives the seconds until something is due again."""
        if self._fleet.lease() is None:
            self._due, self._pages, self._adopted = {}, {}, frozenset()
            return None
        now = self._fleet.clock.monotonic()
        ours, others = await self._places()
        for place in ours | others:
            self._due.setdefault(place, now + FIRST_AFTER_S)
        unseen = await self._look_at_adopted(ours | others, now)
        self._due = {place: at for place, at in self._due.items() if place in ours or place in others}
        left = MOST
        for place in sorted((each for each, at in self._due.items() if at <= now), key=lambda each: self._due[each]):
            left -= await self._read(place, left)
            period = read_period_s(sum(self._pages.get(each, 1) for each in ours))
            often = place in ours or unseen
            self._due[place] = now + (period if often else max(period, OTHERS_EVERY_S))
        for place in ours:
            # A place that gets work of ours is read often from then on.
            self._due[place] = min(self._due[place], now + read_period_s(sum(self._pages.get(p, 1) for p in ours)))
        return max(1.0, min(self._due.values()) - self._fleet.clock.monotonic()) if self._due else None

    async def _look_at_adopted(self, places: Collection[Place], now: float) -> bool:
        """Reads every place at once when an adopted runner is new: only GitHub knows its labels, and whether it is
        reached. Gives whether one is in no list yet."""

        def read(connection: Connection) -> tuple[frozenset[str], frozenset[str]]:
            names = adopted_slots.names(connection)
            return names, registrations.names_kept(connection) if names else frozenset()

        names, listed = await self._fleet.store.read(read)
        if names - self._adopted - listed:
            self._due |= dict.fromkeys(places, now)
        self._adopted = names
        return bool(names - listed)

    async def _places(self) -> tuple[set[Place], set[Place]]:
        """Where there is something of ours, and the other places of the configuration."""
        since = self._fleet.clock.now() - OURS_FOR

        def read(connection: Connection) -> set[tuple[str, str]]:
            return registrations.places_of_claims(connection, since) | registrations.places_kept(connection)

        ours = {self._place(owner, repository) for owner, repository in await self._fleet.store.read(read)}
        named = {self._place(name.partition("/")[0], name) for name in self._fleet.repositories()}
        return ours, named - ours

    def _place(self, owner: str, repository: str) -> Place:
        scope = self._fleet.scope(owner, repository)
        return Place(owner=scope.owner, repository=scope.repository or "")

    async def _read(self, place: Place, most: int) -> int:
        """Reads one place; gives the number of removals that were ordered."""
        listed = await self._fleet.github.list_runners(Scope(owner=place.owner, repository=place.repository or None))
        if isinstance(listed, Failed):
            self._fleet.log.info("registrations.not_read", place=_name(place), failure=listed.kind.value)
            return 0
        self._pages[place] = len(listed.items) // PAGE + 1
        ordered = await self._fleet.write(lambda tx: self._keep(tx, place, listed.items, most))
        if ordered is None:
            self._fleet.log.warning("registrations.not_believed", place=_name(place), listed=len(listed.items))
            return 0
        for suspect in ordered:
            self._fleet.log.info("registration.left_over", runner=suspect.registration.name, place=_name(place))
        return len(ordered)

    def _keep(self, tx: Tx, place: Place, items: Sequence[RunnerObject], most: int) -> list[Suspect] | None:
        """Keeps a whole list and orders what follows from it; None: it is not believed."""
        adopted = adopted_slots.names(tx.connection)
        seen = [each for each in items if each.name.startswith(self._prefix) or each.name in adopted]
        here = self._claims_here(claims.live_claims(tx.connection), place)
        working = registrations.at_work(tx.connection, here, tx.now)
        if not is_plausible({each.name for each in items}, [claim.runner_name for claim in working]):
            # Where nothing of ours is at work an empty list is what one expects, and yet no evidence.
            return None if working else []
        sightings = [Sighting(name=each.name, runner_id=each.id, status=each.status, busy=each.busy) for each in seen]
        registrations.keep(tx, place, sightings, here)
        if adopted:
            carried = {each.name: [label.name for label in each.labels] for each in seen if each.name in adopted}
            adopted_slots.assign_pools(tx, carried, self._fleet.config.pool)
        return self._remove_left_over(tx, place, most)

    def _claims_here(self, found: Sequence[Claim], place: Place) -> list[Claim]:
        return [claim for claim in found if self._place(claim.owner, claim.repository) == place]

    @property
    def _prefix(self) -> str:
        return f"andon-{self._fleet.fleet_id}-"

    def _remove_left_over(self, tx: Tx, place: Place, most: int) -> list[Suspect]:
        ordered: list[Suspect] = []
        for suspect in registrations.suspects(tx.connection, place, self._prefix):
            if len(ordered) >= most:
                break
            if why_kept(suspect.leftover, tx.now) is None and _order(tx, place, suspect):
                ordered.append(suspect)
        return ordered


def _order(tx: Tx, place: Place, suspect: Suspect) -> bool:
    """Orders one removal, once for each time it went offline; the rail and GitHub have their say then."""
    found, claim = suspect.registration, suspect.claim
    key = f"retire:left_over:{found.name}:{found.runner_id}:{to_micros(found.since)}"
    if registrations.was_ordered(tx.connection, key):
        return False
    behind = "no claim of ours has this name" if claim is None else f"its claim is {claim.state.value}"
    reason = f"GitHub lists it offline, and {behind}"
    tx.order(
        "retire_runner",
        key=key,
        subject=found.name if claim is None else claim.id,
        generation=None if claim is None else claim.generation,
        payload={
            "owner": place.owner,
            "repository": place.repository,
            "name": found.name,
            "runner_id": found.runner_id,
            "only": "offline",
        },
    )
    tx.record(
        Entry(
            actor=ACTOR,
            kind="registration.left_over",
            subject_kind="runner",
            subject_id=found.name,
            reason=reason,
            evidence={
                "offline_since": found.since.isoformat(),
                "reads": found.reads,
                "claim": None if claim is None else claim.id,
                "claim_over_since": None if claim is None else claim.since.isoformat(),
            },
            job_id=None if claim is None else claim.job_id,
            host=None if claim is None else claim.host,
        )
    )
    return True


def _name(place: Place) -> str:
    return place.repository or place.owner
