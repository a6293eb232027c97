"""`andon bench hook` in small: it measures both in one run, and a hook that costs too much is found."""

import asyncio

import pytest

from andon.agent.hooks.answers import NoWorkspaces
from andon.runtime.clock import SystemClock
from andon.runtime.errors import AndonError, Refused
from andon.sim.bench import hook
from andon.sim.bench.figures import Result


def measure(**more: object) -> Result:
    return asyncio.run(hook.bench_hook(rounds=3, clock=SystemClock(), say=lambda text: None, **more))


def test_each_figure_is_there_and_bounds_are_kept() -> None:
    result = measure()
    found = {figure.name: figure.value for figure in result.figures}
    # Which of them costs more shows only in many rounds, on a machine that has nothing else to do.
    assert found["hook, CPU"] > 1 and found["bare interpreter, CPU"] > 1
    assert result.holds, found


def test_an_answer_that_comes_late_misses_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook, "ANSWER_MS", 0.001)
    assert {figure.name for figure in measure().figures if figure.holds is False} == {"answer, p99"}


def test_a_refusal_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(NoWorkspaces):
        async def begin(self, *_: object) -> None:  # type: ignore[override]
            raise Refused("No.")

    with pytest.raises(AndonError, match="refused"):
        measure(workspaces=Refusing())
