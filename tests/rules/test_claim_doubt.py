"""The evidence table covers every combination, and touches nothing that GitHub calls in progress."""

from itertools import product

import pytest

from andon.rules.claim_doubt import DoubtAct, JobFact, ProcessFact, RunnerFact, judge

ALL = list(product(JobFact, RunnerFact, ProcessFact))


@pytest.mark.parametrize(("job", "runner", "process"), ALL)
def test_every_combination_has_a_row(job: JobFact, runner: RunnerFact, process: ProcessFact) -> None:
    assert judge(job, runner, process).reason != "no row of the evidence table holds"


@pytest.mark.parametrize(("job", "runner", "process"), ALL)
def test_a_runner_with_a_job_in_progress_is_never_removed(
    job: JobFact, runner: RunnerFact, process: ProcessFact
) -> None:
    act = judge(job, runner, process).act
    if job is JobFact.HERE:
        assert act is DoubtAct.BIND
    if runner is RunnerFact.BUSY:
        assert act in (DoubtAct.BIND, DoubtAct.WAIT, DoubtAct.SETTLE)


@pytest.mark.parametrize("process", ProcessFact)
def test_queued_beside_an_idle_runner_is_kept_unless_its_process_is_gone(process: ProcessFact) -> None:
    expected = DoubtAct.REMOVE if process is ProcessFact.GONE else DoubtAct.KEEP
    assert judge(JobFact.QUEUED, RunnerFact.IDLE, process).act is expected


def test_demand_that_is_gone_retires_the_idle_runner() -> None:
    assert judge(JobFact.ELSEWHERE, RunnerFact.IDLE, ProcessFact.ALIVE).act is DoubtAct.REMOVE


@pytest.mark.parametrize(("job", "runner", "process"), ALL)
def test_only_a_known_end_lets_go_without_githubs_word(job: JobFact, runner: RunnerFact, process: ProcessFact) -> None:
    act = judge(job, runner, process).act
    if act is DoubtAct.LET_GO:
        assert (runner, process) == (RunnerFact.OUT_OF_REACH, ProcessFact.GONE)
        assert job is not JobFact.HERE
    if runner is RunnerFact.OUT_OF_REACH:
        assert act is not DoubtAct.REMOVE, "nothing can be removed there"


@pytest.mark.parametrize("job", [JobFact.QUEUED, JobFact.WAITING, JobFact.ABSENT, JobFact.ELSEWHERE])
def test_a_place_out_of_reach_holds_no_slot_after_the_process_ended(job: JobFact) -> None:
    assert judge(job, RunnerFact.OUT_OF_REACH, ProcessFact.GONE).act is DoubtAct.LET_GO
    for process in (ProcessFact.ALIVE, ProcessFact.UNKNOWN):
        assert judge(job, RunnerFact.OUT_OF_REACH, process).act is DoubtAct.WAIT
