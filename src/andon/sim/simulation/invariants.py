"""What must never happen, looked for in GitHub's truth (limits.md section 7; I1-I5, I12, I13).

`at_any_time` holds whatever the weather; `after_calm` holds once nothing has gone wrong for a while.
"""

from collections.abc import Iterator

from sqlalchemy import text

from andon.sim.sandbox.records import Job, Stage
from andon.sim.simulation.simulation import Simulation


def at_any_time(simulation: Simulation) -> Iterator[str]:
    """Every violation there is now."""
    yield from simulation.violations
    yield from _budget(simulation)
    yield from _one_job_a_runner(simulation)
    yield from _caps(simulation)


def after_calm(simulation: Simulation) -> Iterator[str]:
    """Every job is over, and nothing of ours is left (row 3: all settle within 15 min)."""
    for job in simulation.github.world.jobs.values():
        if job.stage is Stage.QUEUED and not _is_held_by_a_fault(job):
            yield f"I1: job {job.id} is still queued: {_story(job)}"
        elif job.stage is Stage.IN_PROGRESS and not job.for_ever and not job.settling:
            yield f"I1: job {job.id} is still in progress: {_story(job)}"
    with simulation.database.connection.begin():
        live = simulation.database.connection.execute(
            text("SELECT id, state, job_id, reason FROM claims WHERE state NOT IN ('settled', 'released')")
        ).all()
        wrong = simulation.database.connection.execute(
            text("SELECT id, status FROM jobs WHERE status <> 'completed'")
        ).all()
    for row in live:
        yield f"claim {row.id} for job {row.job_id} is still {row.state}: {row.reason}"
    for row in wrong:
        job = simulation.github.world.jobs.get(row.id)
        if job is not None and job.stage is Stage.COMPLETED:
            yield f"job {row.id} is over at GitHub and {row.status} here: {_story(job)}"
    for host in simulation.hosts.values():
        for claim in host.live_claims():
            yield f"a runner's process of {claim} lives on {host.name}, and nothing is open"
    for name in sorted(simulation.registered()):
        yield f"runner {name} is still registered, and nothing is open"
    yield from _journal(simulation)


def _is_held_by_a_fault(job: Job) -> bool:
    return job.limbo is not None or job.attempt.failed_to_start


def _story(job: Job) -> str:
    return "; ".join(
        f"{change.at:%H:%M:%S} {change.what}{f' {change.runner}' if change.runner else ''}"
        for change in job.history[-8:]
    )


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


def _caps(simulation: Simulation) -> Iterator[str]:
    """I5: the owner's hard cap, counted where jobs really run. GitHub calls a runner busy for ten minutes after
    its process was ended by force; that one uses no slot."""
    cap = simulation.shape.max_slots
    busy = sum(host.jobs_running for host in simulation.hosts.values())
    if cap is not None and busy > cap:
        yield f"I5: {busy} jobs run at once, beyond the cap of {cap}"


def _journal(simulation: Simulation) -> Iterator[str]:
    """I3 and I4: each claim's lines follow each other along the table, and end once."""
    with simulation.database.connection.begin():
        lines = simulation.database.connection.execute(
            text(
                "SELECT DISTINCT subject_id, from_state, to_state, seq FROM journal "
                "WHERE subject_kind = 'claim' AND kind NOT IN ('claim.shuffled', 'claim.late_word') "
                "AND to_state IS NOT NULL ORDER BY seq"
            )
        ).all()
    state: dict[str, str | None] = {}
    for line in lines:
        if line.from_state != state.get(line.subject_id):
            yield f"I4: {line.subject_id} went from {state.get(line.subject_id)} and the journal says {line.from_state}"
        if state.get(line.subject_id) in ("settled", "released"):
            yield f"I3: {line.subject_id} was {state[line.subject_id]} and became {line.to_state}"
        state[line.subject_id] = line.to_state
