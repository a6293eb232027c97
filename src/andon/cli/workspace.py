"""`andon workspace list|show`: which run holds what on the hosts, since when, and why it is not gone yet.

Exit code 1 when one of those shown is held for longer than what is left of its job should.
"""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.text import Text

from andon.cli.exits import FINDING, FINE
from andon.cli.options import ConfigFile, DataFolder, Json, ServerUrl, TokenFile
from andon.cli.output import make_console, plain, print_json, print_table, shown_time, strong, word
from andon.cli.reading import Reader, read
from andon.model.api import WorkspaceView
from andon.runtime.clock import SystemClock

_PATH = "/api/v1/workspaces"


def workspace_list(
    *,
    host: Annotated[str | None, Parameter(help="Only workspaces of this host.")] = None,
    repository: Annotated[str | None, Parameter(help="Only workspaces of this owner/name.")] = None,
    state: Annotated[str | None, Parameter(help="Only workspaces in this state, such as draining.")] = None,
    limit: Annotated[int, Parameter(help="The most workspaces.", validator=Number(gte=1, lte=10_000))] = 500,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """Workspaces by host. Exit code 1: one is held for more than 10 minutes after its job."""
    filters = {
        name: value
        for name, value in (("host", host), ("repository", repository), ("state", state))
        if value is not None
    }

    async def work(reader: Reader) -> tuple[dict[str, Any], list[WorkspaceView]]:
        page = await reader.list(_PATH, filters, limit=limit)
        return page, reader.typed(page["items"], list[WorkspaceView])

    page, found = read(work, config=config, data=data, server=server, token_file=token_file)
    if json:
        print_json(page)
    else:
        _print_list(make_console(), found, SystemClock().now())
    return FINDING if any(each.overdue for each in found) else FINE


def workspace_show(
    id: Annotated[str, Parameter(help="The workspace's id.")],
    /,
    *,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """One workspace. Exit code 1: it is held for more than 10 minutes after its job."""

    async def work(reader: Reader) -> tuple[dict[str, Any], WorkspaceView]:
        answer = await reader.get(f"{_PATH}/{quote(id, safe='')}")
        return answer, reader.typed(answer, WorkspaceView)

    answer, found = read(work, config=config, data=data, server=server, token_file=token_file)
    if json:
        print_json(answer)
    else:
        _print_one(make_console(), found, SystemClock().now())
    return FINDING if found.overdue else FINE


def _print_list(console: Console, found: list[WorkspaceView], now: datetime) -> None:
    if not found:
        console.print("No workspaces. A host tells of one as soon as a job has begun in it.")
        return
    rows = [
        (
            strong(each.id),
            plain(each.host if each.slot is None else f"{each.host}/{each.slot}"),
            plain(each.repository),
            plain(each.job),
            word(each.state),
            shown_time(console, each.since, now),
            plain(each.why),
        )
        for each in found
    ]
    age = "FOR" if console.is_terminal else "SINCE"
    print_table(console, ("WORKSPACE", "PLACE", "REPOSITORY", "JOB", "STATE", age, "WHY IT IS THERE"), rows)


def _print_one(console: Console, found: WorkspaceView, now: datetime) -> None:
    console.print(Text.assemble(strong(found.id), "  ", word(found.state)), soft_wrap=True)
    job = f"{plain(found.job)}  {plain(found.conclusion)}" if found.job is not None else "not known yet"
    facts = (
        ("place", found.host if found.slot is None else f"{found.host}/{found.slot}"),
        ("path", found.path),
        ("of", f"{plain(found.repository)}  run {found.run_id}  attempt {found.attempt}  {plain(found.job_key)}"),
        ("run", found.run),
        ("job", job),
        ("runner", found.runner),
        ("since", shown_time(console, found.since, now)),
        ("bytes", found.bytes),
        ("made by", "the job's hook, while the agent was away" if found.standalone else "the agent"),
        ("why", found.why),
        ("told", shown_time(console, found.told_at, now)),
    )
    for name, value in facts:
        console.print(Text.assemble((f"  {name:<10}", "dim"), plain(value)), soft_wrap=True)
