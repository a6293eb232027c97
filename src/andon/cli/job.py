"""`andon job ID`: one job with its whole story from the journal (R16)."""

from datetime import datetime
from typing import Annotated, Any

from cyclopts import Parameter
from msgspec import UnsetType
from rich.console import Console
from rich.text import Text

from andon.cli.exits import FINE
from andon.cli.job_rows import cause, place, state
from andon.cli.options import ConfigFile, DataFolder, Json, ServerUrl, TokenFile
from andon.cli.output import make_console, plain, print_json, print_table, shown_time, strong, word
from andon.cli.reading import Reader, read
from andon.model.api import JobView, JournalLine
from andon.runtime.clock import SystemClock


def job(
    id: Annotated[int, Parameter(help="GitHub's id of the job.")],
    /,
    *,
    config: ConfigFile = None,
    data: DataFolder = None,
    server: ServerUrl = None,
    token_file: TokenFile = None,
    json: Json = False,
) -> int:
    """One job: what is known of it, and then every journal line about it."""

    async def work(reader: Reader) -> tuple[dict[str, Any], JobView]:
        answer = await reader.get(f"/api/v1/jobs/{id}")
        return answer, reader.typed(answer, JobView)

    answer, found = read(work, config=config, data=data, server=server, token_file=token_file)
    if json:
        print_json(answer)
    else:
        _print(make_console(), found, SystemClock().now())
    return FINE


def _print(console: Console, job: JobView, now: datetime) -> None:
    title = Text.assemble(strong(f"{job.repository}  {job.name}"), "  ", word(state(job)))
    console.print(title, soft_wrap=True)
    for name, value in _facts(console, job, now):
        console.print(Text.assemble((f"  {name:<10}", "dim"), value), soft_wrap=True)
    console.print()
    story = () if isinstance(job.story, UnsetType) else job.story
    if not story:
        console.print("No journal lines.")
        return
    rows = [(shown_time(console, line.at, now), plain(line.actor), plain(line.kind), *_move(line)) for line in story]
    print_table(console, ("AGO" if console.is_terminal else "AT", "WHO", "WHAT", "FROM -> TO", "WHY"), rows)


def _facts(console: Console, job: JobView, now: datetime) -> list[tuple[str, str]]:
    facts = [
        ("job", f"{job.id}  run {job.run_id}  attempt {job.attempt}"),
        ("workflow", f"{plain(job.workflow)}  {plain(job.event)}  {plain(job.branch)}"),
        ("commit", plain(job.sha)),
        ("labels", ", ".join(plain(label) for label in job.labels)),
        ("pool", plain(job.pool)),
        ("place", place(job)),
        ("runner", plain(job.runner.name) if job.runner else "-"),
        ("queued", shown_time(console, job.queued_at, now)),
        ("started", shown_time(console, job.started_at, now)),
        ("completed", shown_time(console, job.completed_at, now)),
    ]
    if job.claim is not None:
        claim = job.claim
        facts.append(("claim", f"{plain(claim.id)}  {plain(claim.state)}  generation {claim.generation}"))
    if job.why is not None and cause(job):
        facts.append(("waits", f"{plain(job.why.text)} Until: {plain(job.why.until)}"))
    return facts


def _move(line: JournalLine) -> tuple[str, str]:
    """From and to, and the reason."""
    move = "-" if line.from_ is None and line.to is None else f"{plain(line.from_)} -> {plain(line.to)}"
    return move, plain(line.reason) + (" (would: the rails observe)" if line.mode == "observe" else "")
