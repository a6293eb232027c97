"""`andon bench agent` in small: two real agents, one of them with a waiting runner on each slot."""

import asyncio

import pytest

from andon.runtime.clock import SystemClock
from andon.sim.bench import agent
from andon.sim.bench.figures import Result


def measure() -> Result:
    watched = agent.bench_agent(minutes=1 / 60, clock=SystemClock(), say=lambda text: None, settled_s=0.5)
    return asyncio.run(watched)


def test_what_both_cost_is_told_beside_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "MIB", 1.0)
    found = {figure.name: figure for figure in measure().figures}
    assert found.keys() == {
        f"{which}, {what}" for which in ("empty slots", "waiting runners") for what in ("of a core", "memory")
    }
    assert all(figure.bound is not None for figure in found.values())
    assert found["empty slots, memory"].value > 1 and found["empty slots, memory"].holds is False
