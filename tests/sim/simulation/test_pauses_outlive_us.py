"""A pause that GitHub asked for holds over our sudden end too: what starts next sends nothing inside it (I12)."""

from andon.sim.simulation.invariants import at_any_time
from andon.sim.simulation.simulation import Shape, Simulation
from tests.sim.simulation.on_stage import on_stage


def test_a_control_plane_that_ends_right_after_a_429_has_written_it_down() -> None:
    async def story(fleet: Simulation) -> tuple[list[str], int, int]:
        fleet.fault(kind="api_rate_limited", count=1, seconds=60.0)
        refused = fleet.github.faults.active[0]
        fleet.run([10.0])
        await fleet.until("GitHub asked us to wait", lambda: refused.applied == 1, 60)
        asked = sum(fleet.github.world.calls.values())
        await fleet.pass_time(0.5)
        await fleet.replica.end()
        await fleet.pass_time(5.0)
        await fleet.replica.start()
        await fleet.pass_time(50.0)
        within = sum(fleet.github.world.calls.values()) - asked
        await fleet.settle(300.0)
        return list(at_any_time(fleet)), within, sum(fleet.github.world.calls.values()) - asked

    broken, within, later = on_stage(story, Shape(hosts=2, slots=2))
    assert not broken
    assert within == 0, "nothing is sent before the minute is over"
    assert later > 0
