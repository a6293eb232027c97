"""`andon drill list|run`: incidents of real fleets, played against this version: virtual time, or this host (R88)."""

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
_SEASON_TITLE = "a day of work in bad weather, and the calm after it; with --days, days of a year in mixed weather"


def drill_list(*, json: Json = False) -> int:
    """Names every drill, by its number in the incident book."""
    from andon.sim.drills.book import all_drills

    book = all_drills().values()
    listed = [(drill.id, drill.title, drill.protection) for drill in book] + [(SEASON, _SEASON_TITLE, "")]
    if json:
        print_json({"drills": [{"id": each, "title": title, "protection": by} for each, title, by in listed]})
    else:
        rows = [(strong(each), plain(title), plain(by)) for each, title, by in listed]
        print_table(make_console(), ("DRILL", "WHAT IS PLAYED", "PROTECTED BY"), rows)
    return FINE


def drill_run(
    *ids: str,
    seed: Annotated[int, Parameter(help="What chance begins with: the same seed plays the same story.")] = 1,
    days: Annotated[
        int | None, Parameter(help="How many days of a year `season` plays, each with a busy hour of work.")
    ] = None,
    unprotected: Annotated[
        bool, Parameter(negative=(), help="Takes each drill's protection out: it has to fail, or it shows nothing.")
    ] = False,
    json: Json = False,
) -> int:
    """Plays drills, all of the book when none is named. Exit code 1 when one failed; with --unprotected when one
    passed."""
    from andon.sim.drills.book import all_drills

    book = all_drills()
    wanted = [_known(each, book) for each in ids] or [*book]
    if unprotected and SEASON in wanted:
        raise Refused("The season has no protection of its own. Name drills with --unprotected.")
    if days is not None and (days < 1 or SEASON not in wanted):
        raise Refused("--days goes with `season`, and is 1 or more: andon drill run season --days 7")
    results: list[Result] = []
    for each in wanted:
        if not json:
            print(f"{each} ...", end="\r", file=sys.stderr, flush=True)  # noqa: T201
        if each == SEASON:
            results.append(_season(seed, days))
        else:
            results.append(book[each].play_unprotected(seed) if unprotected else book[each].play(seed))
        if not json:
            _show(results[-1], seed, days, trace=not unprotected)
    skipped = [result.id for result in results if result.skipped is not None]
    results = [result for result in results if result.skipped is None]
    failed = [result.id for result in results if not result.passed]
    if json:
        print_json({"seed": seed, "drills": msgspec.to_builtins(results), "failed": failed, "not_played": skipped})
    elif unprotected:
        make_console().print(
            plain(f"{len(failed)} of {len(results)} failed without their protection, as they have to.")
        )
    else:
        make_console().print(plain(f"{len(results) - len(failed)} of {len(results)} passed."))
    wrong = len(results) - len(failed) if unprotected else len(failed)
    return FINDING if wrong else FINE


def _known(given: str, book: Iterable[str]) -> str:
    by_lower = {each.lower(): each for each in (*book, SEASON)}
    if given.lower() not in by_lower:
        raise Refused(f"{given}: there is no such drill. `andon drill list` names them.")
    return by_lower[given.lower()]


def _season(seed: int, days: int | None) -> "Result":
    from andon.sim.drills.drill import Result
    from andon.sim.simulation.season import run_season
    from andon.sim.simulation.weather import BAD, MIXED
    from andon.sim.simulation.workload import BUSY_HOUR, WORKLOAD

    if days is None:
        outcome = run_season(seed, days=1, workload=WORKLOAD, climate=BAD)
    else:
        outcome = run_season(seed, days=days, workload=BUSY_HOUR, climate=MIXED)
    return Result(
        id=SEASON,
        title=_SEASON_TITLE,
        passed=not outcome.violations,
        violations=outcome.violations,
        seconds=outcome.days * 86_400.0,
        digest=outcome.digest,
        trace=outcome.last[-60:],
    )


def _show(result: "Result", seed: int, days: int | None, *, trace: bool) -> None:
    console = make_console()
    if result.skipped is not None:
        console.print(word("skip"), strong(result.id), plain(f"not played: {result.skipped}"))
        return
    console.print(word("pass" if result.passed else "FAIL"), strong(result.id), plain(result.title))
    if not result.passed and not trace:
        console.print(plain(f"    {result.violations[0]}"))
    elif not result.passed:
        for line in (*result.trace, *result.violations):
            console.print(plain(f"    {line}"))
        more = "" if days is None or result.id != SEASON else f" --days {days}"
        console.print(plain(f"    Again: andon drill run {result.id} --seed {seed}{more}"))
