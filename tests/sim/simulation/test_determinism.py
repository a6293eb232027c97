"""One seed is one trace, in every process: sets of strings come in another order in each (limits.md 6, row 2)."""

import subprocess
import sys

import pytest

_PLAY = """
import sys
from andon.sim.simulation.season import run_season
from andon.sim.simulation.workload import Workload
for seed in sys.argv[1:]:
    short = Workload(jobs_a_day=12, open_s=240.0, mean_s=40.0, longest_s=120.0)
    print(seed, run_season(int(seed), days=1, workload=short).digest)
"""


def _traces(seeds: range, hashing: int) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _PLAY, *map(str, seeds)],
        env={"PYTHONHASHSEED": str(hashing), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_one_seed_is_one_trace_in_every_process(request: pytest.FixtureRequest) -> None:
    seeds = range(3, 53 if request.config.getoption("--proof") else 5)
    traces = _traces(seeds, 1)
    assert len({line.split()[1] for line in traces.splitlines()}) == len(seeds)
    assert _traces(seeds, 2) == traces
