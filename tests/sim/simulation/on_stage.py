"""A small fleet for one test, without weather."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from andon.sim.simulation.simulation import Shape, Simulation, play

T = TypeVar("T")


def on_stage(story: Callable[[Simulation], Awaitable[T]], shape: Shape, *, seed: int = 1) -> T:
    """Plays `story` on a fleet whose hosts have spoken."""

    async def played() -> T:
        with TemporaryDirectory() as folder:
            simulation = Simulation(seed, Path(folder), shape)
            try:
                await simulation.start()
                await simulation.pass_time(30.0)
                return await story(simulation)
            finally:
                await simulation.close()

    return play(played)
