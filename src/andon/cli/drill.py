"""`andon drill list|run`: incidents of real fleets, played against this version on virtual time (R88)."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from andon.cli.exits import FINDING, FINE
from andon.cli.options import Json
from andon.cli.output import make_console, plain, print_json, print_table, strong, word
from andon.runtime.errors import Refused

if TYPE_CHECKING:
    from andon.sim.drills.drill import Result

SEASON = "season"
_SEASON_TITLE = "a day of work in bad weather, and the calm after it"


def drill_list(*, json: Json = False) -> int:
    """Names every drill, by its number in the incident book."""
    from andon.sim.drills.book import all_drills

    titles = {**{drill.id: drill.title for drill in all_drills().values()}, SEASON: _SEASON_TITLE}
    if json:
        print_json({"drills": [{"id": each, "title": title} for each, title in titles.items()]})
    else:
        rows = [(strong(each), plain(title)) for each, title in titles.items()]
        print_table(make_console(), ("DRILL", "WHAT IS PLAYED"), rows)
    return FINE


def drill_run(
    *ids: str,
    seed: Annotated[int, Parameter(help="What chance begins with: the same seed plays the same story.")] = 1,
    json: Json = False,
) -> int:
    """Plays drills, all of the book when none is named. Exit code 1 when one failed."""
    from andon.sim.drills.book import all_drills
    from andon.sim.drills.drill import run_drill

    book = all_drills()
    wanted = [_known(each, book) for each in ids] or [*book]
    results: list[Result] = []
    for each in wanted:
        if not json:
            print(f"{each} ...", end="\r", file=sys.stderr, flush=True)  # noqa: T201
        results.append(_season(seed) if each == SEASON else run_drill(book[each], seed))
        if not json:
            _show(results[-1], seed)
    failed = [result.id for result in results if not result.passed]
    if json:
        print_json({"seed": seed, "drills": msgspec.to_builtins(results), "failed": failed})
    else:
        make_console().print(plain(f"{len(results) - len(failed)} of {len(results)} passed."))
    return FINDING if failed else FINE


def _known(given: str, book: Iterable[str]) -> str:
    by_lower = {each.lower(): each for each in (*book, SEASON)}
    if given.lower() not in by_lower:
        raise Refused(f"{given}: there is no such drill. `andon drill list` names them.")
    return by_lower[given.lower()]


def _season(seed: int) -> "Result":
    from andon.sim.drills.drill import Result
    from andon.sim.simulation.season import run_season

    outcome = run_season(seed, days=1)
    return Result(
        id=SEASON,
        title=_SEASON_TITLE,
        passed=not outcome.violations,
        violations=outcome.violations,
        seconds=outcome.days * 86_400.0,
        digest=outcome.digest,
        trace=outcome.last[-60:],
    )


def _show(result: "Result", seed: int) -> None:
    console = make_console()
    console.print(word("pass" if result.passed else "FAIL"), strong(result.id), plain(result.title))
    if not result.passed:
        for line in (*result.trace, *result.violations):
            console.print(plain(f"    {line}"))
        console.print(plain(f"    Again: andon drill run {result.id} --seed {seed}"))
