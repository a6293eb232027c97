"""An hour without a delivery, on ten repositories: every job is found in time, within half the budget (R4, R8)."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from andon.sim.simulation.simulation import Shape, Simulation, play

FOUND_S = 180.0
HALF_OF_THE_BUDGET = 2_000
"""Of 5,000 calls an hour 80 % may be used, and lists may take half of that."""
EACH_S = 240.0
"""A run of two jobs in each repository this often: 300 jobs an hour."""


@pytest.mark.parametrize("seed", [1])
def test_without_webhooks_every_job_is_found_within_half_the_budget(
    tmp_path: Path, seed: int, count: Callable[[int], int]
) -> None:
    minutes = count(60)

    async def story() -> None:
        fleet = Simulation(seed, tmp_path, Shape(hosts=1, slots=24, repositories=10))
        try:
            await fleet.start()
            await fleet.pass_time(60.0)
            fleet.fault(kind="delivery_lost")
            world = fleet.github.world
            calls, free = Counter(world.calls), Counter(world.unchanged)
            made: list[int] = []
            for number in range(int(minutes * 60 / EACH_S * 10)):
                made += fleet.run([45.0, 90.0], repository=fleet.repositories[number % 10])
                await fleet.pass_time(EACH_S / 10)
            spent = ((world.calls - calls) - (world.unchanged - free)).total()
            minted = sum(number for name, number in (world.calls - calls).items() if "generate-jitconfig" in name)
            await fleet.until("every job is over", lambda: fleet.is_over(*made), 600.0)
            waited = [(fleet.job(each).started_at - fleet.job(each).made_at).total_seconds() for each in made]
            assert max(waited) <= FOUND_S, "from queued to running: found, claimed, minted, started"
            assert spent - minted <= HALF_OF_THE_BUDGET * minutes / 60
            assert not fleet.github.limits.overdrawn and not fleet.github.limits.too_early
            assert not fleet.violations and not fleet.faults
        finally:
            await fleet.close()

    play(story)
