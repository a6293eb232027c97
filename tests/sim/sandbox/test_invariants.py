"""Whatever happens in whatever order: one job a runner, one runner a job, completed is final."""

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from andon.sim.sandbox.fault_kinds import KINDS, FaultKind
from andon.sim.sandbox.faults import FaultSpec
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Stage
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.run_spec import JobSpec, RunSpec
from andon.sim.virtual_time import VirtualClock

LABEL_SETS = [("a",), ("a", "b"), ("A", "c"), ("a", "b", "c")]


class Sandbox(RuleBasedStateMachine):
    runners = Bundle("runners")
    runs = Bundle("runs")

    def __init__(self):
        super().__init__()
        self.clock = VirtualClock()
        self.github = SandboxGitHub(self.clock, random.Random(3))
        self.world = self.github.world
        self.world.make_repository("acme/app")
        self.github.hooks.create(
            "acme", target_id=1, url="http://r/", content_type="json", secret="", events=("*",), active=True
        )
        self.finals = {}

    def attempt(self, call, *args, **more):
        try:
            return call(*args, **more)
        except ApiError:
            return None

    @rule(target=runs, labels=st.lists(st.sampled_from(LABEL_SETS), min_size=1, max_size=4), data=st.data())
    def start_run(self, labels, data):
        jobs = tuple(
            JobSpec(
                name=f"j{number}",
                labels=label,
                needs=tuple(data.draw(st.sets(st.sampled_from([f"j{before}" for before in range(number)]))))
                if number
                else (),
                gate=data.draw(st.booleans()) if number == 2 else False,
            )
            for number, label in enumerate(labels)
        )
        name = data.draw(st.sampled_from(["acme/app", "acme/other"]))
        return self.github.create_run(RunSpec(repository=name, jobs=jobs))["run_id"]

    @rule(
        target=runners,
        labels=st.sampled_from(LABEL_SETS),
        scope=st.sampled_from(["acme", "acme/app"]),
        once=st.booleans(),
    )
    def register(self, labels, scope, once):
        name = f"r{len(self.world.runners)}"
        runner = self.github.runners.register(scope, name=name, labels=labels, ephemeral=once)
        return runner

    @rule(runner=runners)
    def connect(self, runner):
        self.attempt(self.github.runners.open_session, runner, version="1", os="linux")

    @rule(runner=runners)
    def poll_and_take(self, runner):
        self.github.tick()
        if (session := runner.session) is None:
            return
        self.github.runners.begin_poll(session)
        message = self.attempt(self.github.execution.next_message, session)
        self.github.runners.end_poll(session)
        if message and message["kind"] == "job":
            self.attempt(self.github.execution.acquire, runner, session.id, message["job"]["id"])

    @rule(runner=runners, data=st.data())
    def take_something_else(self, runner, data):
        if self.world.jobs and runner.session is not None:
            wanted = data.draw(st.sampled_from(sorted(self.world.jobs)))
            self.attempt(self.github.execution.acquire, runner, runner.session.id, wanted)

    @rule(runner=runners, conclusion=st.sampled_from(["success", "failure", "cancelled"]))
    def finish(self, runner, conclusion):
        for job_id in runner.served[-1:]:
            self.attempt(self.github.execution.complete, runner, job_id, conclusion, [])

    @rule(runner=runners)
    def renew(self, runner):
        for job_id in runner.served[-1:]:
            self.attempt(self.github.execution.renew, runner, job_id)

    @rule(runner=runners)
    def leave(self, runner):
        if runner.session is not None:
            self.attempt(self.github.runners.close_session, runner, runner.session.id)

    @rule(runner=runners)
    def delete(self, runner):
        self.attempt(self.github.runners.delete, runner.scope, runner.id)

    @rule(run=runs, how=st.sampled_from(["rerun", "rerun_failed", "cancel", "force"]))
    def change_run(self, run, how):
        run = self.world.runs[run]
        if how == "force":
            self.attempt(self.github.runs.cancel, run, force=True)
        else:
            self.attempt(getattr(self.github.runs, how), run)

    @rule(run=runs)
    def open_gates(self, run):
        for job in self.world.runs[run].latest.jobs:
            self.attempt(self.github.runs.release_gate, job)

    @rule(kind=st.sampled_from([kind for kind in FaultKind if KINDS[kind].befalls != "call"]))
    def set_fault(self, kind):
        self.github.faults.add(FaultSpec(kind=kind, count=2))

    @rule(most=st.integers(1, 5))
    def send(self, most):
        for outgoing in self.github.hooks.take(most):
            self.github.hooks.report(outgoing.send, 202, "OK", 0.0)

    @rule(seconds=st.sampled_from([1, 30, 61, 200, 601, 90_000]))
    def pass_time(self, seconds):
        self.clock.advance(seconds)
        self.github.tick()

    @invariant()
    def bound_one_to_one(self):
        for job in self.world.jobs.values():
            if job.assignment is not None:
                assert job.stage is Stage.QUEUED and job.assignment.runner.assigned is job
            if job.stage is Stage.IN_PROGRESS:
                assert (job.runner.job is job) != job.settling and job.assignment is None
            assert job.assignment is None or job.limbo is None
        for runner in self.world.runners.values():
            assert runner.assigned is None or runner.job is None
            assert runner.assigned is None or runner.assigned.assignment.runner is runner
            assert runner.job is None or (runner.job.stage is Stage.IN_PROGRESS and runner.job.runner is runner)
            assert runner.removed_at is None or (runner.session is None and runner.assigned is None)
            assert not runner.ephemeral or len(runner.served) <= 1
            assert runner.outlived_by is None or runner.removed_at is not None
            assert runner.stuck_with is None or not runner.is_idle
            for job in (runner.assigned, runner.job):
                assert job is None or job.wanted <= runner.offers

    @invariant()
    def completed_is_final(self):
        for job in self.world.jobs.values():
            if job.stage is Stage.COMPLETED:
                final = (job.conclusion, job.completed_at, job.runner, len(job.history))
                assert self.finals.setdefault(job.id, final) == final
            else:
                assert job.id not in self.finals

    @invariant()
    def nobody_waits_beside_an_idle_runner(self):
        idle = [runner for runner in self.world.runners.values() if runner.is_idle]
        for job in self.world.jobs.values():
            if job.stage is Stage.QUEUED and job.assignment is None and job.limbo is None:
                places = (job.run.repository.key, job.run.repository.owner_key)
                assert not [runner for runner in idle if runner.scope in places and job.wanted <= runner.offers]

    @invariant()
    def runs_agree_with_their_jobs(self):
        for run in self.world.runs.values():
            over = run.latest.failed_to_start or all(job.stage is Stage.COMPLETED for job in run.latest.jobs)
            assert (run.latest.status == "completed") == over
            assert (run.id in run.repository.open_runs) != over
            for stage in Stage:
                assert run.latest.counts.get(stage, 0) == sum(job.stage is stage for job in run.latest.jobs)


TestSandbox = Sandbox.TestCase
TestSandbox.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
