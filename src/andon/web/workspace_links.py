"""`/jobs/ID` with the id of a workspace, as the started hook prints it into the job's log (interfaces.md section 4).

It leads on to the job's page. While GitHub has not told which job it is, or where several could be meant, the page
says so and names them.
"""

from datetime import datetime

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from andon.model.api import WorkspaceView
from andon.model.nouns import Job
from andon.rules.workspace_ids import IdParts, jobs_behind, parts_of
from andon.store import jobs
from andon.store.workspace_views import workspace
from andon.web.answers import Refusal
from andon.web.control_plane import control_plane
from andon.web.html_answers import html

SHOWN_JOBS = 100
LONGEST_ID = 200


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a workspace's id."""

    workspace: WorkspaceView | None
    """None: no host tells of it any more, or yet."""
    jobs: tuple[Job, ...]
    """Jobs that may be meant; one where that is known."""


def read_link(connection: Connection, id: str, parts: IdParts | None, now: datetime) -> Found:
    """The workspace, and the job or jobs that it may be of."""
    here = workspace(connection, id, now)
    if here is not None:
        # Its host tells of it, so which job it is will be known: until then nobody is sent to a wrong page.
        job = jobs.get_job(connection, here.job) if here.job is not None else None
        return Found(workspace=here, jobs=() if job is None else (job,))
    of_run = [] if parts is None else jobs.jobs_of_run(connection, parts.run_id, parts.attempt)
    return Found(workspace=None, jobs=() if parts is None else tuple(jobs_behind(parts, of_run)))


async def workspace_link(request: Request, id: str) -> Response | None:
    """Leads to the page of the workspace's job; None: that is no id of a workspace. Raises Refusal (404)."""
    if len(id) > LONGEST_ID:
        return None
    parts, control = parts_of(id), control_plane(request)
    now = control.clock.now()
    found = await control.degradation.read_in_time(lambda connection: read_link(connection, id, parts, now))
    if len(found.jobs) == 1:
        return RedirectResponse(f"/jobs/{found.jobs[0].id}", status_code=303, headers={"cache-control": "no-store"})
    if found.workspace is None and parts is None:
        return None
    if found.workspace is None and parts is not None and not found.jobs:
        said = f'The workspace "{id[:80]}" and its run {parts.run_id} are not known here, or not yet.'
        raise Refusal(404, said, "Its host tells of it within a minute, GitHub of its job; then the link works.")
    shown = found.jobs[:SHOWN_JOBS]
    return html(request, "workspace.html", now=now, id=id, named=parts, found=found, jobs=shown)
