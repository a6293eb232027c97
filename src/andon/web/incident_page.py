"""`/incidents`: what is wrong with the fleet, once for each cause, and what was lately."""

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from andon.model.incident_kinds import Severity
from andon.model.incident_states import IncidentState
from andon.model.nouns import Incident
from andon.store import incidents
from andon.web.control_plane import control_plane
from andon.web.html_answers import html

SHOWN_CLOSED = 50
SHOWN_JOBS = 20


class Incidents(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the page shows."""

    live: tuple[Incident, ...]
    closed: tuple[Incident, ...]


def read_incidents(connection: Connection) -> Incidents:
    """The incidents that are not closed, and the newest that are."""
    return Incidents(
        live=tuple(reversed(incidents.live(connection))),
        closed=tuple(incidents.newest(connection, SHOWN_CLOSED, state=IncidentState.CLOSED)),
    )


def lamp(live: tuple[Incident, ...]) -> str:
    """`red` while something pages, `amber` while anything else is open, `green` otherwise."""
    is_open = [each for each in live if each.state is IncidentState.OPEN]
    if any(each.severity is Severity.PAGE for each in is_open):
        return "red"
    return "amber" if live else "green"


def lamp_of(incident: Incident) -> str:
    """The lamp of one incident: by its severity while it is open, `amber` while it eases, `green` once closed."""
    if incident.state is IncidentState.CLOSED:
        return "green"
    return "red" if incident.state is IncidentState.OPEN and incident.severity is Severity.PAGE else "amber"


async def incident_page(request: Request) -> Response:
    """The page of all incidents."""
    control = control_plane(request)
    found = await control.degradation.read_in_time(read_incidents)
    return html(
        request,
        "incidents.html",
        now=control.clock.now(),
        found=found,
        lamp=lamp(found.live),
        lamps={each.id: lamp_of(each) for each in (*found.live, *found.closed)},
        titles={each.id: each.title for each in (*found.live, *found.closed)},
        shown_jobs=SHOWN_JOBS,
        most_jobs=incidents.MOST_JOBS,
    )
