"""`andon why ID`: why a job waits, in one answer (R74)."""

from datetime import datetime
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from andon.cli.exits import FINDING, FINE
from andon.cli.options import ConfigFile, DataFolder, Json, ServerUrl, TokenFile
from andon.cli.output import duration, make_console, plain, print_json, shown_time, strong, word
from andon.cli.reading import Reader, read
from andon.model.why import Why
from andon.rules.why import WITHHELD
from andon.runtime.clock import SystemClock

WITHHELD_OR_STRANDED = WITHHELD | {"stranded"}
"""Causes that do not pass by themselves when a slot is free (interfaces.md section 10)."""


def why(
    id: Annotated[int, Parameter(help="GitHub's id of the job.")],
    /,
    *,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """Why the job waits, and what can change that. Exit code 1: it is withheld or stranded."""

    async def work(reader: Reader) -> tuple[dict[str, Any], Why]:
        answer = await reader.get(f"/api/v1/jobs/{id}/why")
        return answer, reader.typed(answer, Why)

    answer, found = read(work, config=config, data=data, server=server, token_file=token_file)
    if json:
        print_json(answer)
    else:
        _print(make_console(), found, SystemClock().now())
    return FINDING if found.cause in WITHHELD_OR_STRANDED else FINE


def _print(console: Console, why: Why, now: datetime) -> None:
    console.print(strong(why.text), soft_wrap=True)
    lines: list[tuple[str, str | Text]] = [("cause", word(why.cause)), ("until", plain(why.until))]
    if why.since is not None:
        lines.append(("since", shown_time(console, why.since, now)))
    if why.position is not None:
        lines.append(("position", plain(why.position)))
    if why.releases_at_most is not None:
        lines.append(("releases", f"{why.releases_at_most} at most"))
    if why.expected_s is not None:
        lines.append(("expected", f"{duration(why.expected_s[0])} to {duration(why.expected_s[1])}"))
    lines += [(name, plain(value)) for name, value in why.facts.items()]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        console.print(Text.assemble((f"  {plain(name):<{width}}  ", "dim"), value), soft_wrap=True)
