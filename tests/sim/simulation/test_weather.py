"""The weather's own honesty: what outlives its time would be measured as ours (troubles.py)."""

import asyncio
from collections.abc import Awaitable, Callable

from andon.runtime.chance import Chance
from andon.sim.simulation.simulation import Shape, Simulation
from andon.sim.simulation.weather import Climate, Weather
from tests.sim.simulation.on_stage import on_stage

STORMS = Climate(rough=0.0, storm=1.0)
HOURS, LOOK_S = 3, 5.0
OF_CALLS = {"github_limits", "token_expires"}


class Starting(Weather):
    """Nothing but a control plane that is ended at once, and started while its database hangs."""

    def _kinds(self) -> dict[str, Callable[[Chance], Awaitable[None]]]:
        return {"control_plane_ends": self._starts_against_a_hanging_store}

    async def _starts_against_a_hanging_store(self, chance: Chance) -> None:
        (replica,) = self._simulation.replicas.values()
        await replica.end()
        self._simulation.outage.hanging.add(replica.name)
        await replica.start()


def test_a_control_plane_that_was_stopped_while_it_started_does_not_keep_the_weather_from_ending() -> None:
    """Seed 6 of a season hung so: who waited for the start waited for ever, and with it the end of the day."""

    async def story(simulation: Simulation) -> bool:
        weather = Starting(simulation, STORMS)
        weather.begin(3600.0)
        (replica,) = simulation.replicas.values()
        await simulation.until("its start", lambda: simulation.outage.hanging, 3600.0)
        await simulation.pass_time(1.0)
        replica.stop()
        clearing = asyncio.ensure_future(weather.clear())
        await asyncio.wait({clearing}, timeout=600.0)
        ended = clearing.done()
        replica.go_on()
        await clearing
        return ended and replica.lives

    assert on_stage(story, Shape(replicas=1))


def test_no_fault_of_single_calls_outlives_its_time() -> None:
    async def story(simulation: Simulation) -> list[str]:
        weather = Weather(simulation, STORMS)
        weather.begin(HOURS * 3600.0)
        set_at_all, outlived = 0, list[str]()
        for _ in range(int(HOURS * 3600.0 / LOOK_S)):
            # No call comes through, so none uses a fault up before its time.
            simulation.github_cut = True
            await simulation.pass_time(LOOK_S)
            now = simulation.clock.monotonic()
            lasting = OF_CALLS & set(simulation.troubles.during(now, now + LOOK_S, None))
            counted = [fault.kind.value for fault in simulation.github.faults.active if fault.count is not None]
            set_at_all += len(counted)
            outlived.extend(counted if not lasting else ())
        await weather.clear()
        assert set_at_all, "such faults came"
        return outlived

    assert on_stage(story, Shape()) == []
