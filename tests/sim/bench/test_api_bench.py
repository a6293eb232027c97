"""`andon bench api` in small: what it counts is what GitHub counts, and a fleet that asks too much is found."""

import pytest

from andon.sim.bench.api import Load, bench_api
from andon.sim.bench.api_kinds import OTHER, kinds_of
from andon.sim.bench.figures import Result

SMALL = Load(hosts=1, repositories=2, runners=20, runs=2, jobs=1, job_s=300.0, hours=0.2, warm_s=600.0, past_runs=31)


def figures(result: Result) -> dict[str, float]:
    return {figure.name: figure.value for figure in result.figures}


def test_a_small_fleet_keeps_the_bounds_and_each_kind_is_shown() -> None:
    result = bench_api(SMALL, seed=1, say=lambda text: None)
    found = figures(result)
    assert result.holds, found
    assert found["busy: calls for a job"] <= 1.2
    assert found["busy: mint"] > 0 and found["busy: lists of runs, 304"] > 0
    assert found["idle: non-304"] <= 1.0
    assert not [name for name in found if OTHER in name], "every call has a name"


def test_a_sweep_that_reads_without_etags_misses_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.github.etags.Etags.find", lambda self, key: None)
    result = bench_api(SMALL, seed=1, say=lambda text: None)
    missed = {figure.name for figure in result.figures if figure.holds is False}
    assert "idle: non-304" in missed, figures(result)


def test_counters_of_the_sandbox_are_sorted_by_what_calls_are_for() -> None:
    calls = {
        "POST /repos/{owner}/{repo}/actions/runners/generate-jitconfig 201": 3,
        "POST /orgs/{org}/actions/runners/generate-jitconfig 409": 1,
        "GET /repos/{owner}/{repo}/actions/runs 200": 7,
        "GET /somewhere/else 200": 1,
    }
    counts = kinds_of(calls, {"GET /repos/{owner}/{repo}/actions/runs 200": 5})
    assert dict(counts.calls) == {"mint": 4, "lists of runs": 7, OTHER: 1}
    assert dict(counts.paid) == {"mint": 4, "lists of runs": 2, OTHER: 1}
