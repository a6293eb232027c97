"""An upgrade is a stop and a start: of either program, in order or by force, with 20 running jobs (R87).

None of them ends, none is started twice, and all of them end as they would have.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_restarts import gone, held_jobs, running
from tests.support.claims_told import wait_for_all_claims_over
from tests.support.fleet import Stage, a_fleet, wait_for

JOBS = 20


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with a_fleet(tmp_path, hosts=2, slots=JOBS // 2) as made:
        yield made


def all_run(stage: Stage) -> bool:
    return len(stage.ask("/api/v1/jobs?state=in_progress")["items"]) == JOBS


def all_heard(stage: Stage) -> bool:
    hosts = stage.ask("/api/v1/hosts")["items"]
    return all(
        host["observed"] == "reporting" and sum(slot["state"] == "running" for slot in host["slots"]) == JOBS // 2
        for host in hosts
    )


def test_twenty_jobs_outlive_restarts_of_both_programs(stage: Stage, tmp_path: Path) -> None:
    stage.learn_how_little_jobs_write()
    job_ids = stage.run(held_jobs(tmp_path, JOBS))
    wait_for("all jobs run", lambda: len(running(tmp_path)) == JOBS, seconds=120)
    wait_for("all are known to run", lambda: all_run(stage))
    steps = running(tmp_path)
    for how in (signal.SIGTERM, signal.SIGKILL):
        assert stage.control.end(how) == (0 if how is signal.SIGTERM else -signal.SIGKILL)
        assert gone(steps) == [], f"the control plane's {how.name} ended a job"
        stage.start_control()
        for name in stage.hosts:
            assert stage.agents[name].end(how) == (0 if how is signal.SIGTERM else -signal.SIGKILL)
        assert gone(steps) == [], f"an agent's {how.name} ended a job"
        for name in stage.hosts:
            stage.start_agent(name)
        wait_for("every slot is heard of again", lambda: all_heard(stage))
        assert all_run(stage)
        assert gone(steps) == [] and running(tmp_path) == steps
    (tmp_path / "go").touch()
    wait_for("all jobs are done", lambda: not stage.unfinished(job_ids), seconds=90)
    wait_for_all_claims_over(stage)
    assert len(running(tmp_path)) == JOBS, "no job was started a second time"
    for job_id in job_ids:
        job = stage.ask(f"/api/v1/jobs/{job_id}")
        assert job["conclusion"] == "success"
        kinds = [line["kind"] for line in job["story"]]
        assert kinds.count("claim.reserved") == 1, kinds
        settled = [line for line in job["story"] if line["kind"] == "claim.settled"]
        assert [line["evidence"].get("exit") for line in settled] == [0], "how it ended is known"
    assert len(stage.truth()["runners"]) == JOBS + 1, "nothing was registered twice"
