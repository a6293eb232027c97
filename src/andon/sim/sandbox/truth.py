"""`GET /_sandbox/truth`: what really happened, for whoever has to judge a fleet by it."""

from typing import Any

from andon.sim.sandbox.delivery_json import delivery_truth
from andon.sim.sandbox.hooks import Hooks
from andon.sim.sandbox.job_json import job_truth
from andon.sim.sandbox.repository_json import fine_stamp
from andon.sim.sandbox.runner_json import runner_truth
from andon.sim.sandbox.world import World


def truth(world: World, hooks: Hooks) -> dict[str, Any]:
    """Jobs with their histories, runs, runners, registrations, deliveries, and calls by endpoint."""
    return {
        "now": fine_stamp(world.now()),
        "jobs": [job_truth(job) for job in world.jobs.values()],
        "runs": [
            {
                "id": run.id,
                "repository": run.repository.full_name,
                "attempts": len(run.attempts),
                "status": run.latest.status,
                "conclusion": run.latest.conclusion,
            }
            for run in world.runs.values()
        ],
        "runners": [runner_truth(runner) for runner in world.runners.values()],
        "registrations": list(world.registrations),
        "deliveries": [delivery_truth(delivery) for delivery in hooks.deliveries],
        "never_created": list(hooks.never_created),
        "calls": dict(world.calls),
    }
