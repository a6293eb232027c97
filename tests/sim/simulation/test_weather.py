"""The weather's own honesty: what outlives its time would be measured as ours (troubles.py)."""

from andon.sim.simulation.simulation import Shape, Simulation
from andon.sim.simulation.weather import Climate, Weather
from tests.sim.simulation.on_stage import on_stage

STORMS = Climate(rough=0.0, storm=1.0)
HOURS, LOOK_S = 3, 5.0
OF_CALLS = {"github_limits", "token_expires"}


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
