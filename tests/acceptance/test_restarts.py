"""Neither program's restart ends a job: jobs hold on while everything around them is ended and
started again, and then end as they would have (R25, R87)."""

import signal
from pathlib import Path
from typing import Any

from tests.support.claims_told import wait_for_all_claims_over
from tests.support.fleet import LABELS, Stage, a_fleet, wait_for

JOBS = 6


def held_jobs(folder: Path, count: int = JOBS) -> list[dict[str, Any]]:
    """Jobs that say that they run, and go on until a file lets them go.

    The file that says so appears whole: a reader that comes between its making and its filling
    would find a job without a process.
    """
    step = (
        f'mine="running-$GITHUB_RUN_ID-$RUNNER_NAME"\n'
        f'echo $$ > "{folder}/.$mine" && mv "{folder}/.$mine" "{folder}/$mine"\n'
        f'until [ -e "{folder}/go" ]; do read -t 0.1 <> <(:) || :; done\n'
        "echo it went on to its end\n"
    )
    return [{"name": f"job {number}", "labels": LABELS, "steps": [{"run": step}]} for number in range(count)]


def running(folder: Path) -> dict[str, int]:
    return {path.name: int(path.read_text()) for path in folder.glob("running-*")}


def gone(pids: dict[str, int]) -> list[str]:
    return [name for name, pid in pids.items() if not Path(f"/proc/{pid}").exists()]


def end_and_start_everything(stage: Stage) -> None:
    stage.agents["host-a"].end(signal.SIGKILL)
    stage.agents["host-b"].end(signal.SIGTERM)
    stage.control.end(signal.SIGKILL)
    stage.start_control()
    stage.control.end(signal.SIGTERM)
    stage.start_control()
    for name in stage.hosts:
        stage.start_agent(name)


def test_restarts_of_everything_end_no_job(tmp_path: Path) -> None:
    with a_fleet(tmp_path, hosts=2, slots=3) as stage:
        stage.learn_how_little_jobs_write()
        job_ids = stage.run(held_jobs(tmp_path))
        wait_for("all jobs run", lambda: len(running(tmp_path)) == JOBS)
        steps = running(tmp_path)
        for _ in range(3):
            end_and_start_everything(stage)
            assert gone(steps) == [], "a job's process went away with a program of ours"
        wait_for(
            "all hosts report", lambda: all(h["observed"] == "reporting" for h in stage.ask("/api/v1/hosts")["items"])
        )
        assert running(tmp_path) == steps, "no job was started a second time"
        (tmp_path / "go").touch()
        wait_for("all jobs are done", lambda: not stage.unfinished(job_ids), seconds=30)
        wait_for_all_claims_over(stage)
        for job_id in job_ids:
            job = stage.ask(f"/api/v1/jobs/{job_id}")
            assert job["conclusion"] == "success"
            settled = [line for line in job["story"] if line["kind"] == "claim.settled"]
            assert [line["evidence"].get("exit") for line in settled] == [0], "the end is known, exit code and all"


def test_a_host_whose_agent_is_gone_keeps_its_jobs_and_is_no_capacity(tmp_path: Path) -> None:
    with a_fleet(tmp_path, hosts=2, slots=3) as stage:
        job_ids = stage.run(held_jobs(tmp_path)[:2])
        wait_for("both jobs run", lambda: len(running(tmp_path)) == 2)
        for agent in stage.agents.values():
            agent.end(signal.SIGKILL)
        (tmp_path / "go").touch()
        wait_for("GitHub has both as completed", lambda: not stage.unfinished(job_ids), seconds=30)
        later = stage.run([{"name": "later", "labels": LABELS, "steps": [{"run": "true"}]}])
        wait_for("the job is known", lambda: stage.ask("/api/v1/jobs?state=queued")["items"])
        for name in stage.hosts:
            stage.start_agent(name)
        wait_for("the later job is done", lambda: not stage.unfinished(later), seconds=30)
