"""The database away, the network cut in one direction: nothing is lost, and what ran goes on."""

import pytest

from andon.sim.simulation.invariants import after_calm, at_any_time
from andon.sim.simulation.simulation import Shape, Simulation
from tests.sim.simulation.on_stage import on_stage

SMALL = Shape(hosts=2, slots=2)


def _broken(fleet: Simulation) -> list[str]:
    return [*at_any_time(fleet), *after_calm(fleet), *fleet.faults]


@pytest.mark.parametrize("hangs", [False, True])
def test_without_the_database_deliveries_are_spooled_and_what_runs_goes_on(hangs: bool) -> None:
    async def story(fleet: Simulation) -> tuple[list[str], int]:
        (running,) = fleet.run([40.0])
        await fleet.until("the job runs", lambda: fleet.runs(running), 30)
        where = fleet.outage.hanging if hangs else fleet.outage.away
        where.add("control")
        (meanwhile,) = fleet.run([10.0])
        await fleet.until("the job that ran is over", lambda: fleet.is_over(running), 60)
        await fleet.pass_time(60.0)
        where.clear()
        await fleet.until("the other one runs", lambda: fleet.runs(meanwhile), 60)
        await fleet.settle(300.0)
        return _broken(fleet), fleet.replica.spool.taken

    broken, spooled = on_stage(story, SMALL)
    assert not broken
    assert spooled >= 2, "what GitHub sent meanwhile was acknowledged"


def test_a_host_that_hears_no_answers_is_heard_all_the_same() -> None:
    async def story(fleet: Simulation) -> list[str]:
        (running,) = fleet.run([20.0])
        await fleet.until("the job runs", lambda: fleet.runs(running), 30)
        fleet.address.deaf.update(fleet.hosts)
        await fleet.until("its end is known here", lambda: not fleet.live_claims(), 60)
        (waiting,) = fleet.run([10.0])
        await fleet.pass_time(20.0)
        assert not fleet.runs(waiting), "nobody can be told to start it"
        fleet.address.deaf.clear()
        await fleet.until("the next one is over", lambda: fleet.is_over(waiting), 120)
        await fleet.settle(300.0)
        return _broken(fleet)

    assert not on_stage(story, SMALL)
