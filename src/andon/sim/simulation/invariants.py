"""What must never happen, looked for in GitHub's truth (limits.md section 7; I1, I2, I5, I12).

`at_any_time` holds whatever the weather; `after_calm` holds once nothing has gone wrong for a while. I3, I4 and the
cap at each commit are held in `history`; I13 and the times of R4 and R27 in `watch`.
"""

from collections import Counter
from collections.abc import Iterator

from andon.model.job_states import JobStatus
from andon.sim.sandbox.records import Job, Stage
from andon.sim.simulation.simulation import Simulation
from andon.store import claims, jobs


def at_any_time(simulation: Simulation) -> Iterator[str]:
    """Every violation there is now."""
    yield from simulation.violations
    yield from _budget(simulation)
    yield from _one_job_a_runner(simulation)
    yield from _one_config_a_job(simulation)
    yield from _caps(simulation)


def after_calm(simulation: Simulation) -> Iterator[str]:
    """Every job is over, and nothing of ours is left (row 3: all settle within 15 min)."""
    world = simulation.github.world
    for job in world.jobs.values():
        if job.stage is Stage.QUEUED and not job.is_held_by_a_fault:
            yield f"I1: job {job.id} is still queued: {story(job)}"
        elif job.stage is Stage.IN_PROGRESS and not job.for_ever and not job.settling:
            yield f"I1: job {job.id} is still in progress: {story(job)}"
    live = simulation.live_claims()
    # Whose job GitHub itself does not end, or offers to nobody, has its runner wait for it by right.
    by_right = {claim.id for claim in live if _is_open_by_a_fault(world.jobs.get(claim.job_id or 0))}
    names = {claim.runner_name for claim in live if claim.id in by_right}
    for claim in live:
        if claim.id not in by_right:
            yield f"claim {claim.id} for job {claim.job_id} is still {claim.state}: {claim.reason}"
    known = simulation.ask(lambda connection: jobs.get_jobs(connection, list(world.jobs)))
    for found in known.values():
        job = world.jobs[found.id]
        if job.stage is Stage.COMPLETED and found.status is not JobStatus.COMPLETED:
            yield f"job {found.id} is over at GitHub and {found.status} here: {story(job)}"
    for host in simulation.hosts.values():
        for claim in host.live_claims():
            if claim in by_right:
                continue
            yield f"a runner's process of {claim} lives on {host.name}, and nothing is open"
    for name in sorted(simulation.registered() - names):
        yield f"runner {name} is still registered, and nothing is open"


def _is_open_by_a_fault(job: Job | None) -> bool:
    """Whether GitHub shows it as open by a fault of GitHub's: it never ends, or settles late."""
    if job is None or job.stage is Stage.COMPLETED:
        return False
    return job.is_held_by_a_fault or bool(job.for_ever) or bool(job.settling)


def story(job: Job) -> str:
    """The last of its true history, in one line."""
    changes = "; ".join(
        f"{change.at:%H:%M:%S} {change.what}{f' {change.runner}' if change.runner else ''}"
        for change in job.history[-8:]
    )
    return f"job {job.id} ({changes})"


def _budget(simulation: Simulation) -> Iterator[str]:
    """I12: no call while GitHub had asked us to wait, and none beyond the quota."""
    for early in simulation.github.limits.too_early:
        yield f"I12: a call during a Retry-After: {early}"
    for over in simulation.github.limits.overdrawn:
        yield f"I12: a call beyond the quota: {over}"


def _one_job_a_runner(simulation: Simulation) -> Iterator[str]:
    """I2 by GitHub's word: a runner of ours serves one job, and a job runs on one runner at a time."""
    for runner in simulation.github.world.runners.values():
        if len(runner.served) > 1:
            yield f"I2: runner {runner.name} served {runner.served}"


def _one_config_a_job(simulation: Simulation) -> Iterator[str]:
    """I2: at most one live JIT config for a job of an attempt, and no claim on two hosts. A config is live while its
    process lives, GitHub knows its runner, and no job was taken with it."""
    unused = [claim for host in simulation.hosts.values() for claim in host.unused_configs()]
    if len(unused) < 2:
        return
    for claim, hosts in Counter(unused).items():
        if hosts > 1:
            yield f"I2: {claim} lives on {hosts} hosts"
    known = simulation.ask(lambda connection: claims.get_claims(connection, unused))
    for job, configs in Counter(claim.job_id for claim in known.values() if claim.job_id is not None).items():
        if configs > 1:
            held = sorted(claim.id for claim in known.values() if claim.job_id == job)
            yield f"I2: job {job} has {configs} live JIT configs: {held}"


def _caps(simulation: Simulation) -> Iterator[str]:
    """I5: the owner's hard cap, counted where jobs really run. GitHub calls a runner busy for ten minutes after
    its process was ended by force; that one uses no slot."""
    cap = simulation.shape.max_slots
    busy = sum(host.jobs_running for host in simulation.hosts.values())
    if cap is not None and busy > cap:
        yield f"I5: {busy} jobs run at once, beyond the cap of {cap}"
