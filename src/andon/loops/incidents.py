"""Loop "incidents": what the fleet, GitHub and our own clock show becomes incidents, one for each cause (R36).

The verdicts are `rules.liveness_fleet`, `rules.pool_rests` and `rules.disk_incidents`. An incident eases only when
something shows that its cause is gone, and closes when it stayed away for its kind's quiet time.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from andon.loops.fleet import Fleet
from andon.model.host_states import HostObserved
from andon.model.incident_kinds import IncidentCode
from andon.model.incident_states import IncidentState
from andon.model.nouns import Incident
from andon.rules.cache_incidents import cache_cleared, cache_findings
from andon.rules.disk_incidents import CODES, DiskSituation, disk_cleared, disk_findings
from andon.rules.liveness_fleet import JUDGED, Finding, HostFact, Situation, cleared, verdicts
from andon.rules.pool_rests import SlotFact, resting_pools, works_again
from andon.store import claims, hosts, incidents, registrations
from andon.store.disk_facts import disk_situation
from andon.store.pool_rests import slots_of_resting_pools
from andon.store.transaction import Tx

CLAIMS_OF = timedelta(hours=25)
"""Work so old still makes its place one to ask at (as loop:knock does)."""

_JUDGED = JUDGED | CODES | {IncidentCode.CACHE_THRASHING}
"""What is looked at with every pass."""


class KeepIncidents:
    """One pass opens, eases and closes."""

    def __init__(self, fleet: Fleet, machine: str | None = None) -> None:
        """`machine`: the boot id of the machine that this runs on; None: not known."""
        self._fleet = fleet
        self._machine = machine
        self._left: tuple[float, datetime] | None = None
        """By both clocks, when the last call ended: between two calls nothing of ours should take long."""
        self._generation: int | None = None
        """Of the lease at the last good pass: another one means that somebody else may have watched."""
        self._heard_since: datetime | None = None
        self._far_since: datetime | None = None

    async def run_once(self) -> float | None:
        """Follows what is known now."""
        pause, counted = self._stood_still()
        try:
            await self._follow(pause, counted)
        finally:
            self._left = (self._fleet.clock.monotonic(), self._fleet.clock.now())
        return None

    def _stood_still(self) -> tuple[timedelta | None, timedelta | None]:
        """How long nothing was called, by the clock that says more, and by the one that cannot be set."""
        if self._left is None:
            return None, None
        counted = timedelta(seconds=self._fleet.clock.monotonic() - self._left[0])
        return max(counted, self._fleet.clock.now() - self._left[1]), counted

    async def _follow(self, pause: timedelta | None, counted: timedelta | None) -> None:
        lease = self._fleet.lease()
        if lease is None:
            self._heard_since = self._far_since = None
            return
        watched = lease.generation == self._generation
        now = self._fleet.clock.now()
        since = now - CLAIMS_OF
        (known, live, slots), filled, places = await self._fleet.store.read(
            lambda connection: (
                self._look(connection, now),
                disk_situation(connection, now),
                registrations.places_of_claims(connection, since),
            )
        )
        heard = [host for host in known if host.observed is HostObserved.REPORTING]
        self._heard_since = _without_a_break(self._heard_since, bool(heard), now)
        self._far_since = _without_a_break(self._far_since, any(not host.local for host in heard), now)
        at = Situation(
            now=now,
            hosts=known,
            api=self._fleet.github.health(),
            heard_since=self._heard_since,
            far_since=self._far_since,
            may_ask=bool(places or self._fleet.repositories()),
            pause=pause if watched else None,
            counted=counted,
        )
        found = (*verdicts(at), *resting_pools(slots), *disk_findings(filled), *cache_findings(filled))
        if found or live:
            await self._fleet.write(lambda tx: follow(tx, found, at, slots, filled))
        self._generation = lease.generation
        for finding in found:
            if not any(_same(finding, each) for each in live):
                self._fleet.log.warning("incident.opened", code=finding.code.value, subject=finding.subject_id)

    def _look(self, connection: Connection, now: datetime) -> tuple[list[HostFact], list[Incident], list[SlotFact]]:
        ahead = self._fleet.store.lease_time(connection) - now
        return _read(connection, self._machine, now, ahead)


def follow(
    tx: Tx,
    found: Sequence[Finding],
    at: Situation,
    slots: Sequence[SlotFact] = (),
    filled: DiskSituation | None = None,
) -> None:
    """Writes down what the verdicts mean for the incidents that there are. `slots`: of the pools that rest."""
    live = incidents.live(tx.connection)
    touched = incidents.touched_by(tx.connection, found)
    for finding in found:
        known = next((each for each in live if _same(finding, each)), None)
        if known is not None:
            incidents.goes_on(tx, known, finding, touched)
            continue
        opened = incidents.open_once(tx, finding, caused_by=_cause(finding, live), known=touched)
        if opened is not None:
            live.append(opened)
    for incident in live:
        if any(_same(finding, incident) for finding in found):
            incidents.past_deadline(tx, incident)
            continue
        if incident.code is IncidentCode.LABEL_THIN:
            reason = works_again(incident.subject_id, slots)
        elif incident.code is IncidentCode.CACHE_THRASHING:
            reason = None if filled is None else cache_cleared(incident.subject_id, filled)
        elif incident.code in CODES:
            reason = None if filled is None else disk_cleared(incident.code, incident.subject_id, filled)
        else:
            reason = cleared(incident.code, incident.subject_id, at)
        if reason is not None and incident.state is IncidentState.OPEN:
            incidents.ease(tx, incident, reason)
        elif reason is not None or incident.state is IncidentState.OPEN or incident.code not in _JUDGED:
            # An easing one closes while it is seen that its cause is gone, never because nobody could look.
            incidents.past_deadline(tx, incident)


def _without_a_break(since: datetime | None, heard: bool, now: datetime) -> datetime | None:
    return (since or now) if heard else None


def _same(finding: Finding, incident: Incident) -> bool:
    return (finding.code, finding.subject_kind, finding.subject_id) == (
        incident.code,
        incident.subject_kind,
        incident.subject_id,
    )


def _cause(finding: Finding, live: Sequence[Incident]) -> str | None:
    """A host that stays away after the whole fleet was lost is a consequence of that; and that nothing can go is
    told because the disk is short."""
    if finding.code is IncidentCode.DISK_PINNED:
        short = (each for each in live if each.code is IncidentCode.DISK_HARD)
        return next((each.id for each in short if each.subject_id == finding.subject_id), None)
    if finding.code is not IncidentCode.HOST_SILENT:
        return None
    for code in (IncidentCode.CONTROL_PLANE_ASLEEP, IncidentCode.FLEET_SILENT):
        if (cause := incidents.live_of(live, code)) is not None:
            return cause.id
    return None


def _read(
    connection: Connection, machine: str | None, now: datetime, ahead: timedelta
) -> tuple[list[HostFact], list[Incident], list[SlotFact]]:
    """`ahead`: by how much the clock that dates what hosts say is ahead of ours."""
    _, live_by_host = claims.live_counts(connection)
    known = [
        HostFact(
            name=host.name,
            observed=host.observed,
            intent=host.intent,
            last_seen=None if host.last_seen is None else host.last_seen - ahead,
            works=bool(live_by_host.get(host.name)),
            local=machine is not None and host.boot_id == machine,
        )
        for host in hosts.all_hosts(connection)
    ]
    live = incidents.live(connection)
    thin = [each.subject_id for each in live if each.code is IncidentCode.LABEL_THIN]
    return known, live, slots_of_resting_pools(connection, now, thin)
