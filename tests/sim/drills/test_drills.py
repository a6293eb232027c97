"""Every drill of the book passes, and fails without its protection; its trace is the same in every process (R88)."""

import os
import subprocess
import sys

import pytest

from andon.sim.drills.book import all_drills
from andon.sim.drills.protections import PROTECTIONS, taken_out

BOOK = all_drills()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`make test` takes the protection from every third drill, `make proof` from each."""
    if "unprotected" in metafunc.fixturenames:
        metafunc.parametrize("unprotected", [*BOOK][:: 1 if metafunc.config.getoption("--proof") else 3])


@pytest.mark.parametrize("number", BOOK)
def test_the_drill_passes(number: str) -> None:
    result = BOOK[number].play(seed=1)
    if result.skipped is not None:
        pytest.skip(f"NOT PLAYED: {number}: {result.skipped}")
    assert result.passed, "\n".join((*result.trace, *result.violations))


def test_the_drill_fails_without_its_protection(unprotected: str) -> None:
    drill = BOOK[unprotected]
    result = drill.play_unprotected(seed=1)
    if result.skipped is not None:
        pytest.skip(f"NOT PLAYED: {unprotected}: {result.skipped}")
    assert not result.passed, f"{unprotected} shows nothing: it passes without {drill.protection!r} too"


def test_every_protection_has_its_drill() -> None:
    assert {drill.protection for drill in BOOK.values()} == PROTECTIONS.keys()


def test_a_protection_that_was_taken_out_is_back_afterwards() -> None:
    for name in PROTECTIONS:
        with taken_out(name):
            pass
    assert BOOK["T7"].play(seed=1).passed


def test_the_book_is_in_its_own_order() -> None:
    assert [*BOOK][:4] == ["T4", "T4b", "T5", "T5b"]
    order = [[*BOOK].index(each) for each in ("T32", "P3", "P11", "S1", "N1", "N3b", "N6")]
    assert order == sorted(order)


def test_one_seed_is_one_trace_in_every_process(request: pytest.FixtureRequest) -> None:
    """Sets of strings come in another order in each process: nothing may hang on it."""
    drills = ("T12", "N6") if request.config.getoption("--proof") else ("T12",)
    script = (
        "from andon.sim.drills.book import all_drills\n"
        f"print([all_drills()[each].play(seed=7).digest for each in {drills}])"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_another_seed_is_another_trace() -> None:
    assert BOOK["N6"].play(seed=1).digest != BOOK["N6"].play(seed=2).digest
