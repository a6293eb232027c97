"""Messages for listeners, and a job while a runner has it: acquire, renew, steps, log, complete.

The lock is GitHub's only sign of life: without a renewal in time the job fails with "lost
communication", whatever the runner still does (limits.md section 5, modes 6 and 7).
"""

from datetime import datetime
from typing import Any

from andon.sim.sandbox.binding import Binder
from andon.sim.sandbox.fault_kinds import FaultKind, Moment
from andon.sim.sandbox.faults import Faults
from andon.sim.sandbox.job_life import JobLife
from andon.sim.sandbox.job_message import job_message
from andon.sim.sandbox.records import Job, Runner, Session, Stage
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.runners import Runners
from andon.sim.sandbox.world import World

_LOST_COMMUNICATION = "lost communication with the server"
_DONE = "its job is done"
_CONCLUSIONS = frozenset({"success", "failure", "cancelled"})


class Execution:
    """The calls of a runner about its job."""

    def __init__(self, world: World, binder: Binder, runners: Runners, life: JobLife, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._binder = binder
        self._runners = runners
        self._life = life

    def next_message(self, session: Session) -> dict[str, Any] | None:
        """What the listener is to be told now, each thing once; None: nothing. Raises ApiError 401."""
        runner = session.runner
        if runner.outlived_by is session:
            return {"kind": "exit", "code": 0} if runner.told_to_exit else None
        if runner.removed_at is not None:
            raise ApiError(401, "The runner registration has been deleted from the server.")
        if runner.session is not session:
            raise ApiError(404, "There is no such session of this runner.")
        job = runner.stuck_with
        if job is not None and job.to_play is not None:
            message = job_message(job, self._world.base_url)
            job.to_play = None
            return {"kind": "job", "job": message}
        job = runner.assigned
        if job is not None and job.assignment is not None and not job.assignment.delivered:
            job.assignment.delivered = True
            return {"kind": "job", "job": job_message(job, self._world.base_url)}
        job = runner.job
        if job is not None and job.cancel_requested and not job.cancel_delivered:
            job.cancel_delivered = True
            return {"kind": "cancel", "job_id": job.id}
        return None

    def acquire(self, runner: Runner, session_id: str, job_id: int) -> Job:
        """The runner takes the job it was offered.

        Raises ApiError 404 when the job no longer waits, 409 when it was offered to somebody else.
        """
        self._runners.get_session(runner, session_id)
        job = self._world.jobs.get(job_id)
        if job is not None and runner.stuck_with is job and job.stage is Stage.QUEUED:
            return job
        if job is None or job.stage is not Stage.QUEUED:
            raise ApiError(404, "Job not found: it was assigned to another runner or is over.")
        if runner.assigned is not job or job.assignment is None:
            raise ApiError(409, "The assignment of this job to this runner is gone.")
        if (status := job.assignment.lost_status) is not None:
            self._runners.outlive(runner, "lost its assignment")
            raise ApiError(status, "Job not found: its assignment is gone.")
        self._life.start(job, runner)
        self._world.timers.at(self._lock(job), lambda: self._look_at_lock(job))
        return job

    def renew(self, runner: Runner, job_id: int) -> Job:
        """Keeps the job for another lock time; raises ApiError 404 when it is lost."""
        job = self._held(runner, job_id)
        if job.renewable:
            self._lock(job)
        return job

    def _lock(self, job: Job) -> datetime:
        seconds = None if job.renewable or job.to_play is None else job.to_play["seconds"]
        job.locked_until = self._world.after(self._world.timings.lock_s if seconds is None else seconds)
        return job.locked_until

    def _look_at_lock(self, job: Job) -> None:
        if job.stage is not Stage.IN_PROGRESS or job.locked_until is None:
            return
        if job.locked_until > self._world.now():
            self._world.timers.at(job.locked_until, lambda: self._look_at_lock(job))
        else:
            self._end_without_runner(job, "failure", _LOST_COMMUNICATION)

    def report_steps(self, runner: Runner, job_id: int, steps: list[dict[str, Any]]) -> None:
        """Takes the steps as they are now; raises ApiError 404 when the job is lost."""
        self._held(runner, job_id).steps = steps

    def put_log(self, runner: Runner, job_id: int, log: bytes) -> None:
        """Takes the whole log of the runner's job, running or just over; raises ApiError 404."""
        job = self._world.jobs.get(job_id)
        if job is None or job.runner is not runner:
            raise ApiError(404, "Job not found: it is not this runner's.")
        job.log = log

    def complete(self, runner: Runner, job_id: int, conclusion: str, steps: list[dict[str, Any]] | None = None) -> None:
        """The runner ends its job; an ephemeral one is deregistered by it. Raises ApiError 404 or 422."""
        if conclusion not in _CONCLUSIONS:
            raise ApiError(422, f'"conclusion" is {conclusion!r}. Give success, failure or cancelled.')
        job = self._held(runner, job_id)
        if steps is not None:
            job.steps = steps
        befalls = self._faults.for_job(Moment.JOB_ENDED, job, runner)
        reason, late_s = None, 0.0
        if lost := befalls.get(FaultKind.JOB_LOST_COMMUNICATION):
            conclusion, reason = "failure", _LOST_COMMUNICATION
            late_s = self._faults.seconds(lost) or 0.0
        if stuck := befalls.get(FaultKind.JOB_STATUS_STUCK):
            late_s = max(late_s, self._faults.seconds(stuck) or 0.0)
        late_s = max(late_s, job.shown_for_s or 0.0)
        if FaultKind.JOB_NEVER_COMPLETED in befalls:
            job.for_ever = True
            self._settle_later(job, "cancelled", reason, None)
        elif late_s > 0:
            self._settle_later(job, conclusion, reason, late_s)
        else:
            self._let_go(job, conclusion, reason, _DONE)

    def _settle_later(self, job: Job, conclusion: str, reason: str | None, seconds: float | None) -> None:
        """The runner is done with the job; GitHub notices after `seconds`, or never."""
        job.settling = True
        job.locked_until = None
        self._free_runner(job, _DONE)
        if seconds is not None:
            self._world.timers.at(self._world.after(seconds), lambda: self._settle(job, conclusion, reason))
            self._world.changed()

    def _settle(self, job: Job, conclusion: str, reason: str | None) -> None:
        if job.stage is Stage.IN_PROGRESS:
            self._life.complete(job, conclusion, reason=reason)

    def force_cancel(self, job: Job, *, forced: bool) -> None:
        """Ends a cancelled job whose runner did not end it; `forced`: whatever a fault holds it for."""
        if forced or not job.for_ever:
            self._end_without_runner(job, "cancelled", "cancelled by the server")

    def _end_without_runner(self, job: Job, conclusion: str, reason: str) -> None:
        if job.stage is Stage.IN_PROGRESS:
            self._let_go(job, conclusion, reason, f"job ended by the server: {reason}")

    def _let_go(self, job: Job, conclusion: str, reason: str | None, removal: str) -> None:
        runner = job.runner
        if runner is not None and runner.job is job:
            runner.job = None
            self._life.complete(job, conclusion, reason=reason)
            self._free_runner(job, removal)
        else:
            self._life.complete(job, conclusion, reason=reason)

    def _free_runner(self, job: Job, removal: str) -> None:
        runner = job.runner
        assert runner is not None
        runner.job = None
        if runner.ephemeral:
            self._runners.deregister(runner, removal)
        else:
            self._binder.runner_changed(runner)

    def _held(self, runner: Runner, job_id: int) -> Job:
        job = self._world.jobs.get(job_id)
        if job is None or runner.job is not job or job.stage is not Stage.IN_PROGRESS:
            raise ApiError(404, "Job not found: this runner does not hold it, or lost it.")
        return job
