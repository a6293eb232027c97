"""`/jobs/ID`: one job's story, so that a developer knows in a minute what happened to it (R16)."""

from datetime import datetime, timedelta
from functools import partial
from urllib.parse import quote, urlsplit

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from andon.model.api import JobView, WorkspaceView
from andon.model.claim_states import ClaimState
from andon.model.nouns import Claim, Job
from andon.rules.runner_causes import Cause, cause_of_claim
from andon.store import claims, job_views, jobs, journal
from andon.store.runner_views import runner_of_claim
from andon.store.workspace_views import workspaces_of_job
from andon.web.answers import Refusal
from andon.web.control_plane import ControlPlane, control_plane
from andon.web.html_answers import html
from andon.web.runner_rows import RunnerRow, runner_row
from andon.web.story_lines import StoryLine, story_lines
from andon.web.time_spent import MEANING, Span, bars, time_spent
from andon.web.workspace_links import workspace_link

_BOUND = (ClaimState.BUSY, ClaimState.SETTLED)
"""States in which GitHub named the job of a claim's runner."""


class JobStory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the page shows."""

    job: Job
    view: JobView
    claims: tuple[Claim, ...]
    runners: dict[str, RunnerRow]
    """Of the claims that are live, by the claim's id."""
    story: tuple[StoryLine, ...]
    spans: tuple[Span, ...]
    workspaces: tuple[WorkspaceView, ...]


def read_story(connection: Connection, control: ControlPlane, job_id: int, now: datetime) -> JobStory | None:
    """The job with all that is known of it, or None."""
    job = jobs.get_job(connection, job_id)
    if job is None:
        return None
    around = job_views.surroundings(connection, control.config, now)
    made = job_views.claims_of_job(connection, job_id)
    served = claims.claim_of_runner(connection, job.runner_name) if job.runner_name else None
    if served is not None and all(claim.id != served.id for claim in made):
        made.append(served)
    alive = [(claim.id, runner_of_claim(connection, claim, now)) for claim in made]
    lines = journal.story_of_job(connection, job_id)
    return JobStory(
        job=job,
        view=job_views.view(connection, [job], around)[0],
        claims=tuple(made),
        runners={claim_id: runner_row(runner) for claim_id, runner in alive if runner is not None},
        story=story_lines(lines),
        spans=time_spent(job, lines, now),
        workspaces=tuple(workspaces_of_job(connection, job, now)),
    )


def github_url(api_url: str, job: Job) -> str | None:
    """The job's page at GitHub; None for an API that is neither github.com's nor a server's own."""
    base = api_url.rstrip("/")
    if base == "https://api.github.com":
        site = "https://github.com"
    elif base.endswith("/api/v3") and urlsplit(base).scheme in ("http", "https"):
        site = base.removesuffix("/api/v3")
    else:
        return None
    return f"{site}/{quote(job.repository)}/actions/runs/{job.run_id}/job/{job.id}"


def _totals(spans: tuple[Span, ...], now: datetime) -> list[tuple[str, str, float, datetime | None]]:
    """(kind, its words, seconds, when it began if it had been one stretch until now), in order.

    The last is None for what is over; else the page can let its duration tick.
    """
    totals: dict[str, float] = {}
    for span in spans:
        totals[span.kind] = totals.get(span.kind, 0.0) + span.seconds
    last = spans[-1] if spans else None
    return [
        (
            kind,
            MEANING[kind],
            seconds,
            now - timedelta(seconds=seconds) if last is not None and last.open and last.kind == kind else None,
        )
        for kind, seconds in totals.items()
    ]


def _cause(claim: Claim, name: str) -> Cause | None:
    return cause_of_claim(claim, name if claim.state in _BOUND else None)


async def job_page(request: Request) -> Response:
    """The page of one job."""
    control = control_plane(request)
    given = str(request.path_params["id"])
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        led_on = await workspace_link(request, given)
        if led_on is not None:
            return led_on
        raise Refusal(404, f'There is no job "{given[:40]}": job ids are numbers.', "Follow a link on the board.")
    now = control.clock.now()
    found = await control.degradation.read_in_time(lambda connection: read_story(connection, control, int(given), now))
    if found is None:
        raise Refusal(404, f"No job {given} is known here.", "Is it a job of a repository whose webhooks come here?")
    return html(
        request,
        "job.html",
        now=now,
        found=found,
        job=found.view,
        bars=bars(found.spans),
        totals=_totals(found.spans, now),
        cause_of=partial(_cause, name=found.job.name),
        github_url=github_url(control.config.github.api_url, found.job),
    )
