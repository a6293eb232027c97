"""The labelled set, bare and in whole logs, with the held-out part apart: the figures of R75 and issue 7."""

import pytest

from andon.sim.bench.triage_cases import cases
from andon.sim.bench.triage_scores import Scores, judge_bare, judge_wrapped, scores
from andon.sim.bench.triage_wrap import wrap
from tests.triage.judging import engine, judged

SEEDS = range(4)


@pytest.fixture(scope="module")
def table() -> dict[str, Scores]:
    everything = cases()
    parts = {
        "all": everything,
        "developed on": [case for case in everything if not case.held_out],
        "held out": [case for case in everything if case.held_out],
    }
    found: dict[str, Scores] = {}
    for name, part in parts.items():
        found[f"{name}, bare"] = scores(judge_bare(engine(), part))
        found[f"{name}, wrapped"] = scores(judge_wrapped(engine(), part, SEEDS))
    return found


def test_the_table(table: dict[str, Scores], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(
            f"\n{'triage':24}{'cases':>6}{'precision':>11}{'recall':>8}{'kinds':>7}{'evidence':>10}{'traps':>8}{'unsafe':>8}"
        )
        for name, row in table.items():
            traps = f"{row.traps_right}/{row.traps}"
            print(
                f"{name:24}{row.cases:6}{row.precision:11.3f}{row.recall:8.3f}{row.kinds:7.3f}"
                f"{row.evidence:10.3f}{traps:>8}{row.unsafe:8}"
            )
    assert set(table)


@pytest.mark.parametrize(("form", "kinds"), [("bare", 0.85), ("wrapped", 0.80)])
def test_the_bounds_of_issue_7(table: dict[str, Scores], form: str, kinds: float) -> None:
    row = table[f"all, {form}"]
    assert row.precision >= 0.97
    assert row.recall >= 0.90
    assert row.kinds >= kinds
    assert row.evidence >= 0.95
    assert row.traps_right * 16 >= row.traps * 15
    assert row.unsafe == 0


@pytest.mark.parametrize("seed", range(60))
def test_a_passing_log_with_decoys_gives_no_verdict(seed: int) -> None:
    verdict = judged(wrap(None, seed).text)
    assert (verdict.family, verdict.rerun) == ("unknown", False)
