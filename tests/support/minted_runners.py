"""Runners of a fleet that is played pass by pass: minted for new jobs, online at GitHub, and at work."""

from typing import Any


async def minted(world: Any, *names: str) -> list[Any]:
    job_ids = world.run(*(names or ("build",)))
    await world.sweep()
    await world.dispatch()
    await world.act()
    return [await world.the_claim(job) for job in job_ids]


def connect(world: Any, claim: Any) -> Any:
    """The runner of this claim opens its session and waits for a message, as the real one would."""
    runner = next(each for each in world.github.world.runners.values() if each.name == claim.runner_name)
    session = world.github.runners.open_session(runner, version="2.336.0", os="Linux")
    world.github.runners.begin_poll(session)
    return runner


def take(world: Any, runner: Any) -> int:
    """The runner takes the job that GitHub offers it; says which."""
    job_id = runner.assigned.id
    world.github.execution.acquire(runner, runner.session.id, job_id)
    return int(job_id)
