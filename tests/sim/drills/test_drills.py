"""Every drill of the book passes, and its trace is the same in every process (R88)."""

import os
import subprocess
import sys

import pytest

from andon.sim.drills.book import all_drills
from andon.sim.drills.drill import run_drill

BOOK = all_drills()


@pytest.mark.parametrize("number", BOOK)
def test_the_drill_passes(number: str) -> None:
    result = run_drill(BOOK[number], seed=1)
    assert result.passed, "\n".join((*result.trace, *result.violations))


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
