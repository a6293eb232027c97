"""Years of a fleet in bad weather (limits.md 6, row 1): 16 runners, 400 jobs a day, every seed another story.

`make test`: 20 seeds, 0.12 fleet-years: more would take longer than it may. `make proof`: 200 seeds, 5 fleet-years,
in ten steps that are resumed each.
"""

from collections.abc import Callable

from andon.sim.simulation.season import run_season
from andon.sim.simulation.weather import MIXED
from andon.sim.simulation.workload import BUSY_HOUR

JOBS_A_DAY = 400
FAULTS_A_DAY = 28
"""At least, on average over a seed's days: 3,000 in 0.3 fleet-years, 50,000 in five."""


def test_no_job_is_lost_and_no_rule_is_broken(
    season_seed: int, season_days: int, record_property: Callable[[str, object], None]
) -> None:
    outcome = run_season(season_seed, days=season_days, workload=BUSY_HOUR, climate=MIXED)
    for name in ("days", "jobs", "faults", "cpu_s"):
        record_property(name, getattr(outcome, name))
    for bound in outcome.bounds:
        record_property(
            f"worst: {bound.name}", (bound.limit_s, bound.measured, bound.worst_s, bound.worst_in_trouble_s)
        )
    again = f"\nAgain: andon drill run season --seed {season_seed} --days {season_days}"
    assert not outcome.violations, "\n".join((*outcome.last[-80:], *outcome.violations)) + again
    assert outcome.days == season_days and outcome.jobs == season_days * JOBS_A_DAY
    assert outcome.faults >= season_days * FAULTS_A_DAY, "the weather was bad"
