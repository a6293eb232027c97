"""Workflow runs: made by the control endpoint, read, run again and cancelled through the API.

Rerun and cancel follow github-contract.md section 4. Jobs that a partial rerun keeps stay the same
objects and are listed in the new attempt too.
"""

from collections.abc import Iterable
from datetime import timedelta

from andon.sim.sandbox.announcements import Announcements
from andon.sim.sandbox.binding import Binder
from andon.sim.sandbox.execution import Execution
from andon.sim.sandbox.fault_kinds import FaultKind, Moment
from andon.sim.sandbox.faults import Faults
from andon.sim.sandbox.job_life import JobLife
from andon.sim.sandbox.records import Attempt, Change, Job, Repository, Run, Stage
from andon.sim.sandbox.refusals import ApiError, not_found
from andon.sim.sandbox.run_spec import RunSpec
from andon.sim.sandbox.world import World

_CONCLUSIONS = frozenset(
    {
        "success",
        "failure",
        "neutral",
        "cancelled",
        "skipped",
        "timed_out",
        "action_required",
        "stale",
        "startup_failure",
    }
)
_STATUSES = frozenset({"queued", "in_progress", "completed", "waiting", "requested", "pending"})
_MOST_FILTERED = 1000


class Runs:
    """All runs of the sandbox."""

    def __init__(
        self,
        world: World,
        binder: Binder,
        life: JobLife,
        execution: Execution,
        announcements: Announcements,
        faults: Faults,
    ) -> None:
        self._world = world
        self._faults = faults
        self._binder = binder
        self._life = life
        self._execution = execution
        self._announcements = announcements

    def create(self, spec: RunSpec) -> Run:
        """Starts a run, in a repository that is made when there is none. Raises ApiError 422."""
        spec.check()
        world = self._world
        repository = world.make_repository(spec.repository)
        numbers = repository.run_numbers
        numbers[spec.workflow] = numbers.get(spec.workflow, 0) + 1
        if spec.workflow not in repository.workflows:
            repository.workflows[spec.workflow] = world.new_id("workflow")
        number = numbers[spec.workflow]
        run = Run(
            id=world.new_id("run"),
            repository=repository,
            workflow=spec.workflow,
            workflow_id=repository.workflows[spec.workflow],
            number=number,
            event=spec.event,
            branch=spec.branch or repository.default_branch,
            sha=spec.sha or world.new_token(160),
            actor=spec.actor,
            title=spec.title or f"{spec.workflow} #{number}",
            fork="octocat-fork" if spec.fork else None,
            pull_request=world.new_id("pull_request") if spec.event.startswith("pull_request") else None,
            payload=spec.payload,
            created_at=world.now(),
        )
        world.runs[run.id] = run
        repository.runs[run.id] = run
        attempt = Attempt(number=1, started_at=world.now(), updated_at=world.now(), actor=run.actor)
        for job in spec.jobs:
            attempt.jobs.append(
                Job(
                    id=world.new_id("job"),
                    run=run,
                    attempt=attempt,
                    spec=job,
                    wanted=frozenset(label.lower() for label in job.labels),
                    made_at=world.now(),
                )
            )
        self._open(run, attempt, attempt.jobs)
        return run

    def _open(self, run: Run, attempt: Attempt, fresh: Iterable[Job]) -> None:
        """Starts an attempt: `fresh` are the jobs to run, the rest of its jobs is carried over."""
        fresh = [*fresh]
        run.attempts.append(attempt)
        run.repository.open_runs[run.id] = run
        by_name = {job.name: job for job in attempt.jobs}
        for job in attempt.jobs:
            attempt.counts[job.stage] = attempt.counts.get(job.stage, 0) + 1
            if job.conclusion is not None:
                attempt.conclusions[job.conclusion] = attempt.conclusions.get(job.conclusion, 0) + 1
        for job in fresh:
            self._world.jobs[job.id] = job
            for need in {*job.spec.needs}:
                if by_name[need].stage is not Stage.COMPLETED:
                    by_name[need].dependants.append(job)
                    job.unmet += 1
        self._announcements.run(run, "requested")
        if FaultKind.RUN_STARTUP_FAILURE in self._faults.for_job(Moment.RUN_MADE, attempt.jobs[0]):
            attempt.failed_to_start = True
            for job in fresh:
                job.limbo, job.for_ever = "its run failed to start", True
        for job in fresh:
            if job.unmet == 0:
                self._life.appear(job)

    def get(self, repository: Repository, run_id: int) -> Run:
        """A run of this repository; raises ApiError 404."""
        run = repository.runs.get(run_id)
        if run is None:
            raise not_found()
        return run

    def get_job(self, repository: Repository, job_id: int) -> Job:
        """A job of this repository that GitHub shows; raises ApiError 404."""
        job = self._world.jobs.get(job_id)
        if job is None or job.stage is Stage.BLOCKED or job.run.repository is not repository:
            raise not_found()
        return job

    def get_attempt(self, run: Run, number: int) -> Attempt:
        """One attempt; raises ApiError 404."""
        if not 1 <= number <= len(run.attempts):
            raise not_found()
        return run.attempts[number - 1]

    def jobs_of(self, run: Run, *, all_attempts: bool = False) -> list[Job]:
        """The jobs that GitHub shows: those of the latest attempt, or of all."""
        if not all_attempts:
            return [job for job in run.latest.jobs if job.stage is not Stage.BLOCKED]
        shown = {job.id: job for attempt in run.attempts for job in attempt.jobs if job.stage is not Stage.BLOCKED}
        return [*shown.values()]

    def list(self, repository: Repository, *, status: str | None = None) -> "list[Run]":
        """The runs, newest first; with a `status` (or conclusion) at most 1,000. Raises ApiError 422."""
        if status is None:
            return [*reversed(repository.runs.values())]
        if status in _CONCLUSIONS:
            found = (run for run in reversed(repository.runs.values()) if run.latest.conclusion == status)
        elif status == "completed":
            found = (run for run in reversed(repository.runs.values()) if run.latest.status == status)
        elif status in _STATUSES:
            # Few runs are open, however many there were; a run that was run again is open again.
            open_runs = sorted(repository.open_runs.values(), key=lambda run: run.id, reverse=True)
            found = (run for run in open_runs if run.latest.status == status)
        else:
            raise ApiError(422, f"Validation Failed: status {status!r} is no status and no conclusion.")
        return [run for run, _ in zip(found, range(_MOST_FILTERED), strict=False)]

    def rerun(self, run: Run, *, actor: str | None = None) -> Attempt:
        """All jobs again in a new attempt; raises ApiError 403 when that is not allowed."""
        return self._again(run, {job.name for job in run.latest.jobs}, actor)

    def rerun_failed(self, run: Run, *, actor: str | None = None) -> Attempt:
        """Every job that did not succeed, and what depends on it, again; raises ApiError 403."""
        return self._again(run, {job.name for job in run.latest.jobs if job.conclusion != "success"}, actor)

    def rerun_job(self, job: Job, *, actor: str | None = None) -> Attempt:
        """One job and its dependants again; raises ApiError 403."""
        if job not in job.run.latest.jobs:
            raise ApiError(403, "This job is of an older attempt and cannot be run again.")
        return self._again(job.run, {job.name}, actor)

    def _again(self, run: Run, names: set[str], actor: str | None) -> Attempt:
        world = self._world
        if run.latest.status != "completed":
            raise ApiError(403, "This workflow is already running")
        if not names:
            raise ApiError(403, "This run has no failed jobs to run again.")
        if world.now() > run.created_at + timedelta(seconds=world.timings.rerun_s):
            raise ApiError(403, "Unable to retry this workflow run because it was created over a month ago")
        if len(run.attempts) > world.timings.max_reruns:
            raise ApiError(403, f"This run was run again {world.timings.max_reruns} times already, which is the limit.")
        attempt = Attempt(
            number=len(run.attempts) + 1, started_at=world.now(), updated_at=world.now(), actor=actor or run.actor
        )
        names = _with_dependants(run.latest.jobs, names)
        fresh: list[Job] = []
        for old in run.latest.jobs:
            if old.name not in names:
                attempt.jobs.append(old)
                continue
            job = Job(
                id=world.new_id("job"), run=run, attempt=attempt, spec=old.spec, wanted=old.wanted, made_at=world.now()
            )
            attempt.jobs.append(job)
            fresh.append(job)
        self._open(run, attempt, fresh)
        return attempt

    def cancel(self, run: Run, *, force: bool = False) -> None:
        """Ends what waits and tells the runners of what runs; raises ApiError 409 when the run is over.

        With `force` running jobs are ended here and now, whatever their runners do.
        """
        attempt = run.latest
        if attempt.status == "completed":
            raise ApiError(409, "Cannot cancel a workflow run that is completed.")
        attempt.cancel_requested = True
        for job in attempt.jobs:
            if job.stage is Stage.BLOCKED:
                self._life.skip(job)
        for job in attempt.jobs:
            if job.for_ever and not force:
                job.cancel_requested = True
            elif job.stage in (Stage.WAITING, Stage.QUEUED):
                self._binder.job_gone(job)
                self._life.complete(job, "cancelled", reason="cancelled while it waited")
            elif job.stage is Stage.IN_PROGRESS:
                self._cancel_running(job, forced=force)

    def _cancel_running(self, job: Job, *, forced: bool) -> None:
        if not job.cancel_requested:
            job.cancel_requested = True
            job.history.append(
                Change(at=self._world.now(), what="cancel_requested", runner=job.runner.name if job.runner else None)
            )
            if job.runner is not None and job.runner.session is not None:
                job.runner.session.nudge()
        due = self._world.after(0.0 if forced else self._world.timings.cancel_force_s)
        self._world.timers.at(due, lambda: self._execution.force_cancel(job, forced=forced))
        self._world.changed()

    def release_gate(self, job: Job) -> None:
        """Approves the gate that a job waits at; raises ApiError 409."""
        if job.stage is not Stage.WAITING:
            raise ApiError(409, f"Job {job.id} does not wait at a gate; it is {job.stage}.")
        self._life.release_gate(job)


def _with_dependants(jobs: Iterable[Job], names: set[str]) -> set[str]:
    """`names` and every job that needs one of them, however far."""
    dependants: dict[str, list[str]] = {}
    for job in jobs:
        for need in job.spec.needs:
            dependants.setdefault(need, []).append(job.name)
    found = set(names)
    look = [*names]
    while look:
        for name in dependants.get(look.pop(), ()):
            if name not in found:
                found.add(name)
                look.append(name)
    return found
