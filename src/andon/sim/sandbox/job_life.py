"""The life of a job and what it does to its run: needs, gates, the run's status, the announcements.

The only place where a job changes its stage; completed is final.
"""

from datetime import timedelta

from andon.sim.sandbox.announcements import Announcements
from andon.sim.sandbox.binding import Binder
from andon.sim.sandbox.fault_kinds import FaultKind, Moment
from andon.sim.sandbox.faults import Faults
from andon.sim.sandbox.records import Attempt, Change, Job, Run, Runner, Stage
from andon.sim.sandbox.world import World

_FAILED = frozenset({"failure", "timed_out", "action_required"})


class JobLife:
    """Moves jobs from stage to stage."""

    def __init__(self, world: World, binder: Binder, announcements: Announcements, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._binder = binder
        self._announcements = announcements

    def appear(self, job: Job) -> None:
        """The job's needs are met: GitHub makes it, queued or behind its gate."""
        now = self._world.now()
        job.created_at = job.started_at = now
        job.turn = self._world.new_id("turn")
        if not job.spec.gate:
            self._queue(job)
            return
        self._move(job, Stage.WAITING)
        # With a gate GitHub sends queued, waiting, queued (contract section 1, runs-on#539).
        self._announcements.job(job, "queued", as_stage=Stage.QUEUED)
        job.gate_updated_at = now
        self._announcements.job(job, "waiting")
        self._update_run(job.run, job.attempt)

    def release_gate(self, job: Job) -> None:
        """The gate was approved."""
        job.gate_updated_at = self._world.now()
        self._queue(job)

    def _queue(self, job: Job) -> None:
        befalls = self._faults.for_job(Moment.JOB_QUEUED, job)
        if FaultKind.JOB_QUEUED_FOREVER in befalls:
            job.limbo, job.for_ever = "GitHub never binds nor ends it", True
        elif FaultKind.JOB_NEVER_BOUND in befalls:
            job.limbo = "GitHub never binds it"
        self._move(job, Stage.QUEUED)
        self._announcements.job(job, "queued")
        self._update_run(job.run, job.attempt)
        limit = timedelta(seconds=self._world.timings.queue_limit_s)
        self._world.timers.at(self._world.now() + limit, lambda: self._give_up(job))
        self._binder.job_queued(job)

    def _give_up(self, job: Job) -> None:
        if job.stage is Stage.QUEUED and not job.for_ever:
            self._binder.job_gone(job)
            self.complete(job, "cancelled", reason="waited too long for a runner")

    def start(self, job: Job, runner: Runner) -> None:
        """The runner took the job."""
        self._binder.taken(job, runner)
        job.runner = runner
        job.started_at = self._world.now()
        runner.served.append(job.id)
        self._move(job, Stage.IN_PROGRESS, runner=runner.name)
        job.attempt.begun = True
        hidden = self._faults.for_job(Moment.JOB_ACQUIRED, job, runner).get(FaultKind.JOB_SHOWN_QUEUED)
        if hidden is not None:
            job.shown_as = Stage.QUEUED
            job.shown_for_s = self._faults.seconds(hidden)
        else:
            self._announcements.job(job, "in_progress")
        self._update_run(job.run, job.attempt)

    def complete(self, job: Job, conclusion: str, *, reason: str | None = None) -> None:
        """Ends a job and whatever follows from it; the caller took it out of the queue or off its runner."""
        ended = [self._end(job, conclusion, reason)]
        while ended:
            for dependant in ended.pop().dependants:
                if dependant.stage is not Stage.BLOCKED:
                    continue
                dependant.unmet -= 1
                if job.attempt.cancel_requested or conclusion != "success":
                    ended.append(self._skip(dependant))
                elif dependant.unmet == 0:
                    self.appear(dependant)
        self._update_run(job.run, job.attempt)

    def _skip(self, job: Job) -> Job:
        job.created_at = job.started_at = self._world.now()
        return self._end(job, "skipped", "its needs are not met")

    def skip(self, job: Job) -> None:
        """Ends a job whose needs can no longer be met."""
        self._skip(job)

    def _end(self, job: Job, conclusion: str, reason: str | None) -> Job:
        assert job.stage is not Stage.COMPLETED, "a completed job is final"
        job.conclusion = conclusion
        job.completed_at = self._world.now()
        job.locked_until = None
        job.shown_as = None
        job.settling = False
        counts = job.attempt.conclusions
        counts[conclusion] = counts.get(conclusion, 0) + 1
        self._move(job, Stage.COMPLETED, runner=job.runner.name if job.runner else None, reason=reason)
        self._announcements.job(job, "completed")
        return job

    def _move(self, job: Job, stage: Stage, *, runner: str | None = None, reason: str | None = None) -> None:
        counts = job.attempt.counts
        counts[job.stage] = counts.get(job.stage, 0) - 1
        counts[stage] = counts.get(stage, 0) + 1
        job.stage = stage
        now = self._world.now()
        job.attempt.updated_at = now
        change = Change(at=now, what=stage.value, runner=runner, conclusion=job.conclusion, reason=reason)
        job.history.append(change)

    def _update_run(self, run: Run, attempt: Attempt) -> None:
        """Works the run's status out of its jobs, and tells when it moved on."""
        status = _status_of(attempt)
        if attempt.status == status:
            return
        attempt.status = status
        attempt.updated_at = self._world.now()
        if status == "completed":
            attempt.conclusion = _conclusion_of(attempt)
            run.repository.open_runs.pop(run.id, None)
            self._announcements.run(run, "completed")
        elif status == "in_progress" and not attempt.told_in_progress:
            attempt.told_in_progress = True
            self._announcements.run(run, "in_progress")


def _status_of(attempt: Attempt) -> str:
    if attempt.failed_to_start:
        return "completed"
    counts = attempt.counts
    if counts.get(Stage.COMPLETED, 0) == len(attempt.jobs):
        return "completed"
    if counts.get(Stage.IN_PROGRESS, 0) == 0 and counts.get(Stage.QUEUED, 0) == 0 and counts.get(Stage.WAITING, 0) > 0:
        return "waiting"
    return "in_progress" if attempt.begun else "queued"


def _conclusion_of(attempt: Attempt) -> str:
    if attempt.failed_to_start:
        return "startup_failure"
    conclusions = {name for name, count in attempt.conclusions.items() if count > 0}
    if attempt.cancel_requested or ("cancelled" in conclusions and not conclusions & _FAILED):
        return "cancelled"
    if conclusions & _FAILED:
        return "failure"
    return "success" if "success" in conclusions or not conclusions else "skipped"
