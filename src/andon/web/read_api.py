"""The read API (interfaces.md section 6). Every handler reads one snapshot and gives a shape of
`model.api`; the same table makes `/openapi.json`."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from andon.model.api import (
    DeliveryView,
    DiskView,
    HostView,
    IncidentView,
    JobView,
    JournalLine,
    OwnerView,
    Page,
    PoolView,
    RunnerView,
    RunView,
    StatusView,
    SweepView,
    SwitchView,
    WorkspaceView,
)
from andon.model.incident_states import IncidentState
from andon.model.why import Why
from andon.store import (
    disk_views,
    fleet_views,
    incidents,
    job_views,
    jobs,
    journal,
    rail_gate,
    runner_views,
    workspace_views,
)
from andon.store.job_views import Filter
from andon.web.answers import Refusal, answer
from andon.web.auth import require_reader
from andon.web.control_plane import ControlPlane, control_plane
from andon.web.degradation import wanted_sweep_s


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T")
N = TypeVar("N", bound=_Named)
DEFAULT_LIMIT = 100
MAX_LIMIT = 500


def _is_number(text: str) -> bool:
    """Whether it is a plain number that fits a column; other scripts' digits are no numbers here."""
    return text.isascii() and text.isdigit() and len(text) <= 18


def _limit(request: Request) -> int:
    given = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not _is_number(given) or not 1 <= int(given) <= MAX_LIMIT:
        raise Refusal(422, f'limit "{given[:40]}" is not a number from 1 to {MAX_LIMIT}.')
    return int(given)


def _number_cursor(request: Request) -> int | None:
    given = request.query_params.get("cursor")
    if given is None:
        return None
    if not _is_number(given):
        raise Refusal(422, "The cursor is not one of ours.", "Use the `next` of the answer before.")
    return int(given)


def _since(request: Request) -> datetime | None:
    given = request.query_params.get("since")
    if given is None:
        return None
    try:
        return msgspec.convert(given, datetime, strict=False) if given else None
    except msgspec.ValidationError:
        raise Refusal(422, f'since "{given[:40]}" is no RFC 3339 time.', "For example 2026-11-22T10:00:00Z.") from None


def _aware_since(request: Request) -> datetime | None:
    since = _since(request)
    if since is not None and since.tzinfo is None:
        raise Refusal(422, "since has no time zone.", "For example 2026-11-22T10:00:00Z.")
    return since


def id_of(request: Request, what: str) -> int:
    given = str(request.path_params["id"])
    if not _is_number(given):
        raise Refusal(404, f'No {what} "{given[:40]}": {what} ids are numbers.')
    return int(given)


async def _read(control: ControlPlane, work: Callable[[Connection], T]) -> T:
    return await control.degradation.read_in_time(work)


async def list_jobs(request: Request) -> Response:
    """Jobs, newest first."""
    require_reader(request)
    control, limit, cursor = control_plane(request), _limit(request), _number_cursor(request)
    asked = request.query_params
    since = _aware_since(request)
    wanted = Filter(
        state=asked.get("state"),
        repository=asked.get("repository"),
        owner=asked.get("owner"),
        pool=asked.get("pool"),
        host=asked.get("host"),
        since=since,
    )

    def work(connection: Connection) -> Page[JobView]:
        found = job_views.list_jobs(connection, wanted, limit, cursor)
        around = job_views.surroundings(connection, control.config, control.clock.now())
        items = job_views.view(connection, found, around)
        return Page(items=tuple(items), next=str(found[-1].id) if len(found) == limit else None)

    return answer(await _read(control, work))


async def get_job(request: Request) -> Response:
    """One job with its whole story."""
    require_reader(request)
    control, job_id = control_plane(request), id_of(request, "job")
    found = await _read(control, lambda connection: job_with_story(connection, control, job_id))
    if found is None:
        raise Refusal(404, f"No job {job_id} is known here.", "Is it a job of a watched repository?")
    return answer(found)


def job_with_story(connection: Connection, control: ControlPlane, job_id: int) -> JobView | None:
    """The job with its story, or None."""
    job = jobs.get_job(connection, job_id)
    if job is None:
        return None
    around = job_views.surroundings(connection, control.config, control.clock.now())
    story = tuple(job_views.line_view(line) for line in journal.story_of_job(connection, job_id))
    return msgspec.structs.replace(job_views.view(connection, [job], around)[0], story=story)


async def get_why(request: Request) -> Response:
    """Why a job waits: exactly one cause."""
    require_reader(request)
    control, job_id = control_plane(request), id_of(request, "job")

    def work(connection: Connection) -> Why | None:
        job = jobs.get_job(connection, job_id)
        if job is None:
            return None
        around = job_views.surroundings(connection, control.config, control.clock.now())
        return job_views.explain_job(connection, job, around)

    found = await _read(control, work)
    if found is None:
        raise Refusal(404, f"No job {job_id} is known here.", "Is it a job of a watched repository?")
    return answer(found)


async def get_run(request: Request) -> Response:
    """One run with the jobs of all attempts."""
    require_reader(request)
    control, run_id = control_plane(request), id_of(request, "run")

    def work(connection: Connection) -> RunView | None:
        around = job_views.surroundings(connection, control.config, control.clock.now())
        return job_views.run_view(connection, run_id, around)

    found = await _read(control, work)
    if found is None:
        raise Refusal(404, f"No run {run_id} is known here.")
    return answer(found)


def _named(request: Request, found: Iterable[N]) -> tuple[tuple[N, ...], str | None]:
    """One page of things by name, and the cursor to go on from: the last name that was told."""
    limit, after = _limit(request), request.query_params.get("cursor", "")
    left = sorted((each for each in found if each.name > after), key=lambda each: each.name)
    return tuple(left[:limit]), left[limit - 1].name if len(left) > limit else None


def _counted(request: Request, found: Sequence[T]) -> tuple[tuple[T, ...], str | None]:
    """One page of a list whose order is the configuration's; the cursor is a number."""
    limit, start = _limit(request), _number_cursor(request) or 0
    end = start + limit
    return tuple(found[start:end]), str(end) if end < len(found) else None


async def list_hosts(request: Request) -> Response:
    """Every host with its slots, by name."""
    require_reader(request)
    control = control_plane(request)
    now = control.clock.now()
    items, after = _named(request, await _read(control, lambda connection: fleet_views.host_views(connection, now)))
    return answer(Page[HostView](items=items, next=after))


async def get_host(request: Request) -> Response:
    """One host."""
    require_reader(request)
    name, control = str(request.path_params["name"]), control_plane(request)
    now = control.clock.now()
    found = await _read(control, lambda connection: fleet_views.host_views(connection, now, name=name))
    if not found:
        raise Refusal(404, f'No host "{name[:80]}" is enrolled here.')
    return answer(found[0])


async def list_runners(request: Request) -> Response:
    """Our runners by name: GitHub's list, process and heartbeat, and the verdict that they give together."""
    require_reader(request)
    control = control_plane(request)
    now = control.clock.now()
    items, after = _named(request, await _read(control, lambda connection: runner_views.runner_views(connection, now)))
    return answer(Page[RunnerView](items=items, next=after))


async def list_pools(request: Request) -> Response:
    """The pools of the configuration."""
    require_reader(request)
    control = control_plane(request)
    now = control.clock.now()
    items, after = _counted(
        request, await _read(control, lambda connection: fleet_views.pool_views(connection, control.config, now))
    )
    return answer(Page[PoolView](items=items, next=after))


async def list_owners(request: Request) -> Response:
    """Owners with their use and their caps."""
    require_reader(request)
    control = control_plane(request)
    items, after = _counted(
        request, await _read(control, lambda connection: fleet_views.owner_views(connection, control.config))
    )
    return answer(Page[OwnerView](items=items, next=after))


async def list_journal(request: Request) -> Response:
    """The journal, newest first."""
    require_reader(request)
    limit, cursor = _limit(request), request.query_params.get("cursor")
    host = request.query_params.get("host")
    found = await _read(
        control_plane(request), lambda connection: journal.newest(connection, limit, before=cursor, host=host)
    )
    items = tuple(job_views.line_view(line) for line in found)
    return answer(Page[JournalLine](items=items, next=found[-1].id if len(found) == limit else None))


async def list_deliveries(request: Request) -> Response:
    """Webhook deliveries, newest first."""
    require_reader(request)
    limit, cursor = _limit(request), _number_cursor(request)
    state, since = request.query_params.get("state"), _aware_since(request)
    found = await _read(
        control_plane(request),
        lambda connection: fleet_views.delivery_views(connection, limit, cursor, state=state, since=since),
    )
    after = str(found[-1][0]) if len(found) == limit else None
    return answer(Page[DeliveryView](items=tuple(view for _, view in found), next=after))


async def list_incidents(request: Request) -> Response:
    """Incidents, newest first."""
    require_reader(request)
    limit, cursor, given = _limit(request), request.query_params.get("cursor"), request.query_params.get("state")
    states = [each.value for each in IncidentState]
    if given is not None and given not in states:
        raise Refusal(422, f'state "{given[:40]}" is none of {", ".join(states)}.')
    state = None if given is None else IncidentState(given)
    found = await _read(
        control_plane(request), lambda connection: incidents.newest(connection, limit, before=cursor, state=state)
    )
    items = tuple(incidents.view(each) for each in found)
    return answer(Page[IncidentView](items=items, next=found[-1].id if len(found) == limit else None))


async def get_incident(request: Request) -> Response:
    """One incident."""
    require_reader(request)
    wanted = str(request.path_params["id"])
    found = await _read(control_plane(request), lambda connection: incidents.get(connection, wanted))
    if found is None:
        raise Refusal(404, f'No incident "{wanted[:80]}" is known here.')
    return answer(incidents.view(found))


async def list_workspaces(request: Request) -> Response:
    """Workspaces by host and id: which run holds what, since when, and why it is not gone yet."""
    require_reader(request)
    control, limit, asked = control_plane(request), _limit(request), request.query_params
    host, _, id = asked.get("cursor", "").partition("/")
    wanted = workspace_views.Filter(
        host=asked.get("host"), repository=asked.get("repository"), state=asked.get("state")
    )
    now = control.clock.now()
    found = await _read(
        control, lambda connection: workspace_views.list_workspaces(connection, wanted, now, limit, (host, id))
    )
    after = f"{found[-1].host}/{found[-1].id}" if len(found) == limit else None
    return answer(Page[WorkspaceView](items=tuple(found), next=after))


async def list_disks(request: Request) -> Response:
    """Filesystems by host and mount: their room, what fills them, what is pinned, and what went."""
    require_reader(request)
    control, limit, asked = control_plane(request), _limit(request), request.query_params
    host, _, mount = asked.get("cursor", "").partition("/")
    found = await _read(
        control,
        lambda connection: disk_views.disk_views(connection, limit, host=asked.get("host"), after=(host, mount)),
    )
    after = f"{found[-1].host}/{found[-1].mount}" if len(found) == limit else None
    return answer(Page[DiskView](items=tuple(found), next=after))


async def get_workspace(request: Request) -> Response:
    """One workspace."""
    require_reader(request)
    wanted, control = str(request.path_params["id"]), control_plane(request)
    now = control.clock.now()
    found = await _read(control, lambda connection: workspace_views.workspace(connection, wanted, now))
    if found is None:
        raise Refusal(404, f'No workspace "{wanted[:80]}" is known here.', "It may be gone, or not told of yet.")
    return answer(found)


async def list_switches(request: Request) -> Response:
    """The rails of automatic acts: what each may do, and how much of its cap is used."""
    require_reader(request)
    control = control_plane(request)
    fleet, now = control.config.rails.mode, control.clock.now()
    items, after = _counted(
        request, await _read(control, lambda connection: rail_gate.switch_views(connection, fleet, now))
    )
    return answer(Page[SwitchView](items=items, next=after))


async def get_status(request: Request) -> Response:
    """What works less than it should, and what is done meanwhile."""
    require_reader(request)
    control = control_plane(request)
    missing, wanted_s = control.ready(), wanted_sweep_s(control.config)
    return answer(
        StatusView(
            at=control.clock.now(),
            ready=missing is None,
            missing=missing,
            degraded=await control.degradation.look(),
            sweep=tuple(
                SweepView(owner=owner, period_s=seconds, wanted_s=wanted_s)
                for owner, seconds in sorted(control.sweep_s().items())
            ),
        )
    )


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the API: its path, its handler, the shape it gives, the filters it takes."""

    path: str
    handler: Callable[[Request], Any]
    gives: Any
    query: tuple[str, ...] = ()


_PAGING = ("limit", "cursor")
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(path="/api/v1/status", handler=get_status, gives=StatusView),
    Endpoint(
        path="/api/v1/jobs",
        handler=list_jobs,
        gives=Page[JobView],
        query=(*_PAGING, "state", "repository", "owner", "pool", "host", "since"),
    ),
    Endpoint(path="/api/v1/jobs/{id}", handler=get_job, gives=JobView),
    Endpoint(path="/api/v1/jobs/{id}/why", handler=get_why, gives=Why),
    Endpoint(path="/api/v1/runs/{id}", handler=get_run, gives=RunView),
    Endpoint(path="/api/v1/runners", handler=list_runners, gives=Page[RunnerView], query=_PAGING),
    Endpoint(path="/api/v1/hosts", handler=list_hosts, gives=Page[HostView], query=_PAGING),
    Endpoint(path="/api/v1/hosts/{name}", handler=get_host, gives=HostView),
    Endpoint(path="/api/v1/pools", handler=list_pools, gives=Page[PoolView], query=_PAGING),
    Endpoint(path="/api/v1/owners", handler=list_owners, gives=Page[OwnerView], query=_PAGING),
    Endpoint(path="/api/v1/incidents", handler=list_incidents, gives=Page[IncidentView], query=(*_PAGING, "state")),
    Endpoint(path="/api/v1/incidents/{id}", handler=get_incident, gives=IncidentView),
    Endpoint(path="/api/v1/journal", handler=list_journal, gives=Page[JournalLine], query=(*_PAGING, "host")),
    Endpoint(
        path="/api/v1/deliveries", handler=list_deliveries, gives=Page[DeliveryView], query=(*_PAGING, "state", "since")
    ),
    Endpoint(
        path="/api/v1/workspaces",
        handler=list_workspaces,
        gives=Page[WorkspaceView],
        query=(*_PAGING, "host", "repository", "state"),
    ),
    Endpoint(path="/api/v1/disk", handler=list_disks, gives=Page[DiskView], query=(*_PAGING, "host")),
    Endpoint(path="/api/v1/workspaces/{id}", handler=get_workspace, gives=WorkspaceView),
    Endpoint(path="/api/v1/switches", handler=list_switches, gives=Page[SwitchView], query=_PAGING),
)
