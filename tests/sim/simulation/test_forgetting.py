"""What a season forgets between two days: what is over, and never what GitHub would still offer to a runner."""

from andon.sim.simulation.invariants import after_calm
from andon.sim.simulation.simulation import Shape, Simulation
from tests.sim.simulation.on_stage import on_stage

ONE = Shape(hosts=1, slots=1)


def test_a_job_that_waits_when_the_past_is_forgotten_is_run_all_the_same() -> None:
    async def story(fleet: Simulation) -> list[str]:
        (over,) = fleet.run([5.0])
        await fleet.until("the first is over", lambda: fleet.is_over(over), 60)
        (running,) = fleet.run([120.0])
        (waiting,) = fleet.run([5.0])
        await fleet.until("the second runs", lambda: fleet.runs(running), 60)
        fleet.forget_the_past()
        assert set(fleet.github.world.jobs) == {running, waiting}
        await fleet.until("the last is over", lambda: fleet.is_over(waiting), 300)
        await fleet.settle(300.0)
        return list(after_calm(fleet))

    assert not on_stage(story, ONE)


def test_a_job_that_github_offers_to_nobody_is_forgotten_and_holds_no_runner() -> None:
    async def story(fleet: Simulation) -> list[str]:
        fleet.fault(kind="job_never_bound", count=1)
        (stuck,) = fleet.run([5.0])
        await fleet.pass_time(60.0)
        fleet.forget_the_past()
        assert stuck not in fleet.github.world.jobs
        (last,) = fleet.run([5.0])
        await fleet.until("the next one is over", lambda: fleet.is_over(last), 3600)
        await fleet.settle(900.0)
        return list(after_calm(fleet))

    assert not on_stage(story, ONE)
