"""What became of claims is counted where people scrape it (interfaces.md section 7)."""

import re

from andon.sim.drills.drill import runners_made
from andon.sim.simulation.in_process_http import InProcessHttp
from andon.sim.simulation.simulation import Shape, Simulation
from tests.sim.simulation.on_stage import on_stage


def test_every_outcome_of_a_claim_is_counted() -> None:
    async def story(fleet: Simulation) -> str:
        for host in fleet.hosts.values():
            host.starts_fail = 1.0
        (job,) = fleet.run([30.0])
        await fleet.until("a runner was made", lambda: runners_made(fleet), 60)
        await fleet.pass_time(3.0)
        for host in fleet.hosts.values():
            host.starts_fail = 0.0
        await fleet.until("the job is over", lambda: fleet.is_over(job), 120)
        await fleet.settle(120.0)
        reader = InProcessHttp(fleet.address, "http://andon.test", caller="reader")
        return (await reader.request("GET", "/metrics")).body.decode()

    found = on_stage(story, Shape(hosts=2, slots=2))
    counts = {of: float(n) for of, n in re.findall(r'andon_claims_total\{outcome="(\w+)"\} (\S+)', found)}
    assert counts["settled"] == 1, "one runner served the job"
    assert counts["released"] == counts["orphaned"] >= 1, "each that ended before it served came into doubt first"
    assert counts["reserved"] == counts["settled"] + counts["released"]
