"""`python -m tests.planted.play [ID...]`: plays every drill, these first, and then a short season.

Stops at the first that fails, says which, and ends with exit code 1.
"""

import sys

from andon.sim.drills.book import all_drills
from andon.sim.simulation.season import run_season
from andon.sim.simulation.workload import Workload

SEED = 1
SEASON_SEED = 100
SHORT = Workload(jobs_a_day=80)


def main(first: list[str]) -> int:
    """Plays; gives the exit code."""
    book = all_drills()
    for number in dict.fromkeys([*(each for each in first if each in book), *book]):
        result = book[number].play(SEED)
        if not result.passed and result.skipped is None:
            print(f"drill {number}: {result.violations[0]}")
            return 1
    outcome = run_season(SEASON_SEED, days=1, workload=SHORT)
    if outcome.violations:
        print(f"season {SEASON_SEED}: {outcome.violations[0]}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
