"""Seasons: days of work in bad weather end with every job over and no invariant broken (limits.md 6, rows 1-3)."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from andon.rules.dispatch import Policy
from andon.sim.simulation.season import run_season
from andon.sim.simulation.simulation import Shape
from andon.sim.simulation.watch import LOOK_S
from andon.sim.simulation.workload import Workload
from andon.store.dispatch import Round, dispatch_once
from andon.store.transaction import Tx


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        # One that plays two control planes; seasons of one alone are played in `tests/seasons`.
        metafunc.parametrize("seed", range(100, 120) if metafunc.config.getoption("--proof") else (103,))


def test_bad_weather_loses_no_job_and_breaks_no_rule(seed: int, count: Callable[[int], int]) -> None:
    jobs = max(100, count(400))
    outcome = run_season(seed, days=1, workload=Workload(jobs_a_day=jobs))
    again = f"\nAgain: andon drill run season --seed {seed}"
    assert not outcome.violations, "\n".join((*outcome.last, *outcome.violations)) + again
    assert outcome.jobs == jobs
    assert outcome.faults > jobs / 2, "the weather was bad"
    assert outcome.faults == sum(outcome.by_kind.values())
    for bound in outcome.bounds:
        assert bound.worst_s <= bound.limit_s + LOOK_S, f"{bound.name}: {bound.worst_s:.0f} s" + again


def test_a_broken_rule_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The season fails when nobody looks for what no delivery told: the checker looks at GitHub's truth."""

    async def nobody(self: object) -> None:
        return None

    monkeypatch.setattr("andon.loops.sweep.Sweep.run_once", nobody)
    monkeypatch.setattr("andon.loops.redelivery.Redelivery.run_once", nobody)
    outcome = run_season(1, days=1, workload=Workload(jobs_a_day=60))
    assert any("over at GitHub and" in each for each in outcome.violations)
    assert outcome.last, "what happened last is shown"


def test_a_cap_that_is_not_kept_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_caps(tx: Tx, policy: Policy, **how: Any) -> Round:
        return dispatch_once(tx, msgspec.structs.replace(policy, max_slots={}), **how)

    monkeypatch.setattr("andon.loops.dispatch.dispatch_once", without_caps)
    outcome = run_season(1, days=1, shape=Shape(max_slots=4), workload=Workload(jobs_a_day=60, open_s=1800.0))
    assert any("I5" in each for each in outcome.violations)
