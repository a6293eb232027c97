"""`andon bench lease` in small: real jobs take real leases of a real agent, and a slow or refused one is found."""

import asyncio
from pathlib import Path

import pytest

from andon.runtime.clock import SystemClock
from andon.runtime.errors import AndonError
from andon.sim.bench import lease, lease_runner
from andon.sim.bench.figures import Result


def measure() -> Result:
    return asyncio.run(lease.bench_lease(rounds=3, clock=SystemClock(), say=lambda text: None, held=2, processes=5))


def test_each_figure_is_there_and_was_measured() -> None:
    result = measure()
    found = {figure.name: figure.value for figure in result.figures}
    assert found["lease taken and acknowledged"] > 0 and found["a bare answer"] > 0
    assert "2 leases held, 5 processes" in result.conditions


def test_a_lease_that_comes_late_misses_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "TAKE_MS", 0.001)
    assert {figure.name for figure in measure().figures if figure.holds is False} == {"lease, p99"}


def test_a_job_without_a_workspace_is_no_measurement(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not known by its name, no job is told from its runner, which is given one workspace and no second one."""
    nameless = tmp_path / "lease_runner.py"
    nameless.write_text(Path(lease_runner.__file__).read_text().replace('"Runner.Worker"', '"somebody"'))
    monkeypatch.setattr(lease_runner, "__file__", str(nameless))
    with pytest.raises(AndonError, match="no workspace"):
        measure()
