"""`/hosts/NAME`: one host, what its slots and its runners do, and what it told us last."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from andon.model.api import HostView, WorkspaceView
from andon.model.host_states import HostObserved
from andon.model.incident_kinds import IncidentCode
from andon.model.nouns import Incident
from andon.rules.disk_incidents import SUBJECT, host_of
from andon.store import fleet_views, incidents, jobs, journal
from andon.store.runner_views import runners_of_host
from andon.store.workspace_views import Filter, list_workspaces
from andon.web.answers import Refusal
from andon.web.control_plane import control_plane
from andon.web.disk_page import DiskStory, read_disks
from andon.web.disk_picture import MEANING
from andon.web.html_answers import html
from andon.web.runner_rows import RunnerRow, runner_row
from andon.web.slot_cells import Cell, cells
from andon.web.story_lines import StoryLine, story_lines

SHOWN_LINES = 50
SHOWN_WORKSPACES = 200


class HostStory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the page shows."""

    host: HostView
    cells: tuple[Cell, ...]
    runners: tuple[RunnerRow, ...]
    incidents: tuple[Incident, ...]
    """Those that are not closed: of this host, and of the whole fleet while this host is silent."""
    workspaces: tuple[WorkspaceView, ...]
    disks: tuple[DiskStory, ...]
    lines: tuple[StoryLine, ...]


def read_host(connection: Connection, name: str, now: datetime) -> HostStory | None:
    """The host with its slots, its runners and its newest journal lines, or None."""
    found = fleet_views.host_views(connection, now, name=name)
    if not found:
        return None
    host = found[0]
    claimed = sorted({slot.job for slot in host.slots if slot.job is not None})
    on_slots = jobs.get_jobs(connection, claimed) if claimed else {}
    return HostStory(
        host=host,
        cells=cells(host, on_slots, fleet_views.slot_notes(connection, now, host=name)),
        runners=tuple(runner_row(each) for each in runners_of_host(connection, name, now)),
        incidents=tuple(each for each in incidents.live(connection) if _concerns(each, host)),
        workspaces=tuple(list_workspaces(connection, Filter(host=name), now, SHOWN_WORKSPACES)),
        disks=read_disks(connection, now, host=name) if host.disk else (),
        lines=story_lines(journal.newest(connection, SHOWN_LINES, host=name)),
    )


def _concerns(incident: Incident, host: HostView) -> bool:
    if incident.code is IncidentCode.FLEET_SILENT:
        return host.observed == HostObserved.SILENT.value
    if incident.subject_kind == SUBJECT:
        return host_of(incident.subject_id) == host.name
    return (incident.subject_kind, incident.subject_id) == ("host", host.name)


def lamp(host: HostView) -> str:
    """The lamp of one host: `green`, `amber` or `red`."""
    if host.observed == "silent":
        return "red"
    return "green" if host.observed == "reporting" and host.intent == "open" else "amber"


async def host_page(request: Request) -> Response:
    """The page of one host."""
    control = control_plane(request)
    name = str(request.path_params["name"])
    now: datetime = control.clock.now()
    found = await control.degradation.read_in_time(lambda connection: read_host(connection, name, now))
    if found is None:
        raise Refusal(404, f'No host "{name[:80]}" is enrolled here.', "The board lists every host.")
    return html(
        request,
        "host.html",
        now=now,
        found=found,
        host=found.host,
        lamp=lamp(found.host),
        most_workspaces=SHOWN_WORKSPACES,
        meaning=MEANING,
    )
