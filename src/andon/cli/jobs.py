"""`andon jobs`: open jobs and the last that ended, or what the filters name."""

from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from andon.cli.exits import FINE
from andon.cli.job_rows import HEADINGS, OPEN_STATES, job_rows
from andon.cli.options import ConfigFile, DataFolder, Json, ServerUrl, TokenFile
from andon.cli.output import make_console, print_json, print_table
from andon.cli.reading import Reader, read
from andon.model.api import JobView
from andon.runtime.clock import SystemClock

_ENDED = 10
"""How many jobs that ended are shown beside the open ones."""

State = Literal["waiting", "pending", "queued", "in_progress", "completed"]


def jobs(
    *,
    state: Annotated[State | None, Parameter(help="Only jobs of this state.")] = None,
    repository: Annotated[str | None, Parameter(help="Only jobs of this repository (owner/name).")] = None,
    pool: Annotated[str | None, Parameter(help="Only jobs of this pool.")] = None,
    limit: Annotated[int, Parameter(help="The most jobs of one state.", validator=Number(gte=1, lte=10_000))] = 200,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """Open jobs, and the last ten that ended; --state shows one state alone."""
    filters = {key: value for key, value in (("repository", repository), ("pool", pool)) if value is not None}

    async def work(reader: Reader) -> tuple[dict[str, Any], list[JobView]]:
        page = await ask(reader)
        return page, reader.typed(page["items"], list[JobView])

    async def ask(reader: Reader) -> dict[str, Any]:
        if state is not None:
            return await reader.list("/api/v1/jobs", {**filters, "state": state}, limit=limit)
        items: list[Any] = []
        for one in OPEN_STATES:
            items += (await reader.list("/api/v1/jobs", {**filters, "state": one}, limit=limit))["items"]
        ended = await reader.list("/api/v1/jobs", {**filters, "state": "completed"}, limit=min(_ENDED, limit))
        return {"items": [*items, *ended["items"]], "next": None}

    page, found = read(work, config=config, data=data, server=server, token_file=token_file)
    if json:
        print_json(page)
        return FINE
    console = make_console()
    if found:
        print_table(console, HEADINGS, job_rows(found, console, SystemClock().now()))
    else:
        console.print("No jobs.")
    return FINE
