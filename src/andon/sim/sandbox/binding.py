"""Which runner gets which job: GitHub binds a runner to a label set, not to a job.

Queued jobs and idle runners are kept by place and label set, so that thousands of each stay cheap:
a new job looks at the few label sets of idle runners, a free runner at the few of queued jobs.
With the shuffle on, chance picks among those that fit (github-contract.md section 3).
"""

from collections import OrderedDict
from datetime import timedelta
from itertools import islice

from andon.sim.sandbox.fault_kinds import FaultKind, Moment
from andon.sim.sandbox.faults import Faults
from andon.sim.sandbox.records import Assignment, Change, Job, Runner, Stage
from andon.sim.sandbox.world import World

_SHUFFLE_WINDOW = 4
"""A free runner gets one of so many oldest jobs that fit it: shuffled, yet nobody waits for ever."""


class PickSet:
    """A set of runners from which one can be picked by number; all in constant time."""

    def __init__(self) -> None:
        self._runners: list[Runner] = []
        self._place: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._runners)

    def __getitem__(self, place: int) -> Runner:
        return self._runners[place]

    def add(self, runner: Runner) -> None:
        if runner.id not in self._place:
            self._place[runner.id] = len(self._runners)
            self._runners.append(runner)

    def remove(self, runner: Runner) -> None:
        place = self._place.pop(runner.id, None)
        if place is None:
            return
        last = self._runners.pop()
        if last is not runner:
            self._runners[place] = last
            self._place[last.id] = place

    def oldest(self) -> Runner:
        return min(self._runners, key=lambda runner: runner.id)


class Binder:
    """Keeps the queue and the idle runners, and brings them together at once when they fit."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._queued: dict[str, dict[tuple[str, frozenset[str]], OrderedDict[int, Job]]] = {}
        """By owner, then by repository and wanted labels; the oldest first."""
        self._idle: dict[str, dict[frozenset[str], PickSet]] = {}
        """By scope, then by offered labels."""

    def job_queued(self, job: Job, *, again: bool = False) -> None:
        """Offers a queued job to an idle runner that fits, or keeps it for one; `again` puts it first."""
        if job.limbo is not None:
            return
        runner = self._pick_runner(job)
        if runner is not None:
            self._assign(job, runner)
            return
        repository = job.run.repository
        groups = self._queued.setdefault(repository.owner_key, {})
        group = groups.setdefault((repository.key, job.wanted), OrderedDict())
        group[job.id] = job
        if again:
            group.move_to_end(job.id, last=False)

    def job_gone(self, job: Job) -> None:
        """Takes a job that no longer waits out of the queue, and back from a runner it was offered to."""
        self._leave_queue(job)
        if job.assignment is not None:
            runner = self._take_back(job, "the job no longer waits")
            self.runner_changed(runner)

    def runner_changed(self, runner: Runner) -> None:
        """Looks at a runner anew: an idle one gets the next job that fits, or is kept for one."""
        if not runner.is_idle:
            self.forget(runner)
            return
        job = self._pick_job(runner)
        if job is None:
            self._idle.setdefault(runner.scope, {}).setdefault(runner.offers, PickSet()).add(runner)
            return
        self._leave_queue(job)
        self._assign(job, runner)

    def forget(self, runner: Runner) -> None:
        """Takes a runner out of the idle ones; needed before its labels change."""
        groups = self._idle.get(runner.scope, {})
        kept = groups.get(runner.offers)
        if kept is not None:
            kept.remove(runner)
            if not kept:
                del groups[runner.offers]

    def taken(self, job: Job, runner: Runner) -> None:
        """The runner accepted the job it was offered."""
        job.assignment = None
        runner.assigned = None
        runner.job = job

    def runner_gone(self, runner: Runner, reason: str) -> None:
        """Queues again what was offered to a runner that is removed or offline."""
        if (job := runner.assigned) is not None:
            self._take_back(job, reason)
            self.job_queued(job, again=True)
        self.runner_changed(runner)

    def _pick_runner(self, job: Job) -> Runner | None:
        repository = job.run.repository
        fitting = [
            kept
            for scope in (repository.key, repository.owner_key)
            for offers, kept in self._idle.get(scope, {}).items()
            if kept and job.wanted <= offers
        ]
        if not fitting:
            return None
        if not self._shuffled(job):
            return min((kept.oldest() for kept in fitting), key=lambda runner: runner.id)
        place = self._world.chance.randrange(sum(len(kept) for kept in fitting))
        for kept in fitting:
            if place < len(kept):
                return kept[place]
            place -= len(kept)
        return None

    def _pick_job(self, runner: Runner) -> Job | None:
        owner, _, name = runner.scope.partition("/")
        fitting: list[Job] = []
        for (repository, wanted), group in self._queued.get(owner, {}).items():
            if wanted <= runner.offers and (not name or repository == runner.scope):
                fitting.extend(islice(group.values(), _SHUFFLE_WINDOW))
        if not fitting:
            return None
        fitting.sort(key=lambda job: job.turn)
        if not self._shuffled(fitting[0], runner):
            return fitting[0]
        return fitting[self._world.chance.randrange(min(_SHUFFLE_WINDOW, len(fitting)))]

    def _shuffled(self, job: Job, runner: Runner | None = None) -> bool:
        struck = FaultKind.JOB_SHUFFLED in self._faults.for_job(Moment.JOB_BOUND, job, runner)
        return struck or self._world.shuffle

    def _leave_queue(self, job: Job) -> None:
        repository = job.run.repository
        groups = self._queued.get(repository.owner_key, {})
        group = groups.get((repository.key, job.wanted))
        if group is not None and group.pop(job.id, None) is not None and not group:
            del groups[(repository.key, job.wanted)]

    def _assign(self, job: Job, runner: Runner) -> None:
        now = self._world.now()
        befalls = self._faults.for_job(Moment.JOB_OFFERED, job, runner)
        if hangs := befalls.get(FaultKind.WORKER_HANGS):
            self._bind_for_ever(job, runner, self._faults.seconds(hangs))
            return
        assignment = Assignment(runner=runner, since=now)
        if lost := befalls.get(FaultKind.ASSIGNMENT_LOST):
            assignment.lost_status = lost.status or 404
        if starved := befalls.get(FaultKind.LOCK_LOST):
            job.renewable = False
            job.to_play = {"kind": starved.kind.value, "seconds": self._faults.seconds(starved)}
        job.assignment = assignment
        runner.assigned = job
        job.history.append(Change(at=now, what="assigned", runner=runner.name))
        self.runner_changed(runner)
        if runner.session is not None:
            runner.session.nudge()
        due = now + timedelta(seconds=self._world.timings.pickup_s)
        self._world.timers.at(due, lambda: self._expire(job, assignment))
        self._world.changed()

    def _bind_for_ever(self, job: Job, runner: Runner, seconds: float | None) -> None:
        """The runner's worker will hang: the job stays queued, this runner's and nobody else's."""
        job.limbo = f"bound to {runner.name}, whose worker hangs"
        job.to_play = {"kind": FaultKind.WORKER_HANGS.value, "seconds": seconds}
        runner.stuck_with = job
        job.history.append(Change(at=self._world.now(), what="assigned", runner=runner.name, reason=job.limbo))
        self.runner_changed(runner)
        if runner.session is not None:
            runner.session.nudge()
        self._world.changed()

    def _expire(self, job: Job, assignment: Assignment) -> None:
        """Not picked up in time: queued again, and offered to this runner only after it polled again."""
        if job.assignment is not assignment or job.stage is not Stage.QUEUED:
            return
        runner = self._take_back(job, "not picked up in time")
        if runner.session is not None:
            runner.session.listening = False
        self.job_queued(job, again=True)

    def _take_back(self, job: Job, reason: str) -> Runner:
        assert job.assignment is not None
        runner = job.assignment.runner
        job.assignment = None
        runner.assigned = None
        job.renewable, job.to_play = True, None
        job.history.append(Change(at=self._world.now(), what="unassigned", runner=runner.name, reason=reason))
        return runner
