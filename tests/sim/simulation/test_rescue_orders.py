"""An operator's order to rescue, end to end: GitHub decides, and the order takes the wait for a deadline away."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from andon.sim.drills.drill import runners_made
from andon.sim.simulation.in_process_http import InProcessHttp
from andon.sim.simulation.simulation import Shape, Simulation, play

T = TypeVar("T")


def _on_stage(data: Path, story: Callable[[Simulation], Awaitable[T]]) -> T:
    async def played() -> T:
        simulation = Simulation(1, data, Shape(hosts=2, slots=2))
        try:
            await simulation.start()
            await simulation.pass_time(30.0)
            return await story(simulation)
        finally:
            await simulation.close()

    return play(played)


async def _ordered(fleet: Simulation, data: Path, job: int) -> int:
    token = (data / "operator.token").read_text().strip()
    reader = InProcessHttp(fleet.address, "http://andon.test", caller="operator")
    answer = await reader.request(
        "POST",
        f"/api/v1/jobs/{job}/rescue",
        body=msgspec.json.encode({"reason": "it hangs"}),
        headers={"authorization": f"Bearer {token}"},
    )
    return answer.status


def test_a_runner_that_hangs_is_given_up_at_once_and_its_process_ended(tmp_path: Path) -> None:
    async def story(fleet: Simulation) -> tuple[int, int]:
        for host in fleet.hosts.values():
            host.starts_hang = 1.0
        (job,) = fleet.run([20.0])
        await fleet.until("a runner was started", lambda: any(h.live_claims() for h in fleet.hosts.values()), 60)
        for host in fleet.hosts.values():
            host.starts_hang = 0.0
        # Its agent tells that it started it, and nobody will ever hear more of it before its deadline.
        await fleet.pass_time(3.0)
        status = await _ordered(fleet, tmp_path, job)
        await fleet.until("the job runs on another runner", lambda: fleet.runs(job), 30)
        await fleet.until(
            "one runner is left", lambda: sum(len(h.live_claims()) for h in fleet.hosts.values()) == 1, 30
        )
        return status, runners_made(fleet)

    assert _on_stage(tmp_path, story) == (202, 2)


def test_a_job_that_runs_goes_on(tmp_path: Path) -> None:
    async def story(fleet: Simulation) -> tuple[int, str | None]:
        (job,) = fleet.run([30.0])
        await fleet.until("the job runs", lambda: fleet.runs(job), 30)
        await fleet.until("that is known", lambda: any(each.state == "busy" for each in fleet.live_claims()), 30)
        status = await _ordered(fleet, tmp_path, job)
        await fleet.until("the job is over", lambda: fleet.is_over(job), 60)
        return status, fleet.job(job).conclusion

    assert _on_stage(tmp_path, story) == (409, "success")
