"""Every drill of the book passes, and fails without its protection; its trace is the same in every process (R88)."""

import os
import subprocess
import sys

import pytest

from andon.sim.drills.book import all_drills
from andon.sim.drills.drill import run_drill, run_unprotected
from andon.sim.drills.protections import PROTECTIONS, taken_out

BOOK = all_drills()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`make test` takes the protection from every third drill, `make proof` from each."""
    if "unprotected" in metafunc.fixturenames:
        metafunc.parametrize("unprotected", [*BOOK][:: 1 if metafunc.config.getoption("--proof") else 3])


@pytest.mark.parametrize("number", BOOK)
def test_the_drill_passes(number: str) -> None:
    result = run_drill(BOOK[number], seed=1)
    assert result.passed, "\n".join((*result.trace, *result.violations))


def test_the_drill_fails_without_its_protection(unprotected: str) -> None:
    drill = BOOK[unprotected]
    result = run_unprotected(drill, seed=1)
    assert not result.passed, f"{unprotected} shows nothing: it passes without {drill.protection!r} too"


def test_every_protection_has_its_drill() -> None:
    assert {drill.protection for drill in BOOK.values()} == PROTECTIONS.keys()


def test_a_protection_that_was_taken_out_is_back_afterwards() -> None:
    for name in PROTECTIONS:
        with taken_out(name):
            pass
    assert run_drill(BOOK["T7"], seed=1).passed


def test_the_book_is_in_its_own_order() -> None:
    assert [*BOOK][:4] == ["T4", "T4b", "T5", "T5b"]
    assert [*BOOK].index("T32") < [*BOOK].index("N1") < [*BOOK].index("N3b") < [*BOOK].index("N6")


def test_one_seed_is_one_trace_in_every_process() -> None:
    """Sets of strings come in another order in each process: nothing may hang on it."""
    script = (
        "from andon.sim.drills.book import all_drills\nfrom andon.sim.drills.drill import run_drill\n"
        "print([run_drill(all_drills()[each], seed=7).digest for each in ('T12', 'N6')])"
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
    assert run_drill(BOOK["N6"], seed=1).digest != run_drill(BOOK["N6"], seed=2).digest
