"""A wrong clock of one control plane puts no host aside: hosts are judged by the clock that all replicas share."""

from datetime import timedelta

from andon.sim.simulation.simulation import Shape, Simulation
from tests.sim.simulation.on_stage import on_stage

TWO = Shape(hosts=1, slots=2, replicas=2)


def _cordons(fleet: Simulation) -> list[str]:
    return [line for line in fleet.trace.last if "host.cordoned" in line or "host.uncordoned" in line]


def test_a_host_is_not_closed_and_opened_in_turn_by_two_replicas() -> None:
    async def story(fleet: Simulation) -> list[str]:
        fleet.replicas["control-0"].clock.skew = timedelta(hours=1)
        await fleet.pass_time(120.0)
        (job,) = fleet.run([10.0])
        await fleet.until("the job is over", lambda: fleet.is_over(job), 120)
        return _cordons(fleet)

    assert not on_stage(story, TWO)


def test_a_host_whose_own_clock_is_wrong_is_closed_once_and_opened_once() -> None:
    async def story(fleet: Simulation) -> tuple[list[str], list[str]]:
        fleet.hosts["host-0"].clock.skew = timedelta(minutes=10)
        await fleet.pass_time(120.0)
        closed = _cordons(fleet)
        fleet.hosts["host-0"].clock.skew = timedelta(0)
        await fleet.pass_time(60.0)
        return closed, _cordons(fleet)

    closed, then = on_stage(story, TWO)
    assert len(closed) == 1
    assert len(then) == 2
