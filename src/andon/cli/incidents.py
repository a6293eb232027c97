"""`andon incidents`: what is wrong with the fleet, once for each cause. Exit code 1 when one is open."""

from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from andon.cli.exits import FINDING, FINE
from andon.cli.options import ConfigFile, DataFolder, Json, ServerUrl, TokenFile
from andon.cli.output import make_console, plain, print_json, print_table, shown_time, strong, word
from andon.cli.reading import Reader, read
from andon.model.api import IncidentView
from andon.model.incident_states import IncidentState
from andon.runtime.clock import SystemClock

State = Literal["open", "easing", "closed"]
_SHOWN_JOBS = 5
_PATH = "/api/v1/incidents"


def incidents(
    *,
    state: Annotated[State | None, Parameter(help="Only incidents of this state.")] = None,
    limit: Annotated[int, Parameter(help="The most incidents.", validator=Number(gte=1, lte=10_000))] = 50,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """The newest incidents, and every older one that is not over. Exit code 1: one of those shown is open."""

    async def work(reader: Reader) -> tuple[dict[str, Any], list[IncidentView]]:
        page = await reader.list(_PATH, {} if state is None else {"state": state}, limit=limit)
        if state is None and page["next"]:
            # What is over and newer must not hide what is still wrong.
            live = [(await reader.list(_PATH, {"state": each}, limit=limit))["items"] for each in ("open", "easing")]
            page["items"] = _first([*live[0], *live[1], *page["items"]], limit)
        return page, reader.typed(page["items"], list[IncidentView])

    page, found = read(work, config=config, data=data, server=server, token_file=token_file)
    if json:
        print_json(page)
    else:
        _print(found)
    return FINDING if any(each.state == IncidentState.OPEN for each in found) else FINE


def _first(items: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """The first of them, each once, the newest on top."""
    kept = list({each["id"]: each for each in reversed(items)}.values())[::-1][:limit]
    return sorted(kept, key=lambda each: each["id"], reverse=True)


def _print(found: list[IncidentView]) -> None:
    console, now = make_console(), SystemClock().now()
    if not found:
        console.print("No incidents.")
        return
    rows = [
        (
            strong(each.code),
            word(each.severity),
            word(each.state),
            shown_time(console, each.opened_at, now),
            shown_time(console, each.closed_at, now),
            _jobs(each.jobs, cut=console.is_terminal),
            plain(each.title),
        )
        for each in found
    ]
    print_table(console, ("CODE", "SEVERITY", "STATE", "OPENED", "CLOSED", "JOBS", "WHAT"), rows)


def _jobs(ids: tuple[int, ...], *, cut: bool) -> str:
    if not ids:
        return "-"
    if cut and len(ids) > _SHOWN_JOBS:
        return f"{', '.join(str(each) for each in ids[:_SHOWN_JOBS])} and {len(ids) - _SHOWN_JOBS} more"
    return ", ".join(str(each) for each in ids)
