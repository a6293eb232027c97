"""200 jobs through real processes while deliveries are lost, doubled and shuffled; and the same
with the control plane ended by SIGKILL on the way.

Judged by GitHub's truth in the sandbox, not by our own tables.
"""

import itertools
import json
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from andon.sim.stage.postgres import PostgresServer
from tests.support.claims_told import OVER, claim_stories, wait_for_all_claims_over
from tests.support.fleet import LABELS, Stage, a_fleet, wait_for


def disturb(stage: Stage) -> None:
    """10 % of deliveries lost, 10 % doubled, the order of the others shuffled."""
    for fault in (
        {"kind": "delivery_lost", "match": {"probability": 0.1}},
        {"kind": "delivery_doubled", "match": {"probability": 0.1}},
        {"kind": "delivery_reordered", "match": {"probability": 0.5}, "seconds": 0.5},
    ):
        stage.ask_github("POST", "/_sandbox/faults", fault)


def some_runs(rng: Random, jobs: int) -> list[list[dict[str, Any]]]:
    """Runs of one to eight jobs, some of which need another, and one in ten of which fails."""
    runs: list[list[dict[str, Any]]] = []
    left = jobs
    while left:
        size = min(left, rng.randint(1, 8))
        run: list[dict[str, Any]] = []
        for number in range(size):
            fails = rng.random() < 0.1
            job: dict[str, Any] = {
                "name": f"job {number}",
                "labels": LABELS,
                "steps": [{"run": f"echo run {len(runs)} job {number}\nexit {int(fails)}"}],
            }
            # Only on a job that cannot fail: a skipped job would be none of the two hundred.
            sure = [each["name"] for each in run if "exit 0" in each["steps"][0]["run"]]
            if sure and rng.random() < 0.2:
                job["needs"] = [rng.choice(sure)]
            run.append(job)
        runs.append(run)
        left -= size
    return runs


def check_truth(stage: Stage, job_ids: list[int]) -> None:
    truth = stage.truth()
    jobs = {job["id"]: job for job in truth["jobs"]}
    assert sorted(jobs) == sorted(job_ids)
    for job in jobs.values():
        statuses = [change["what"] for change in job["history"]]
        assert statuses.count("completed") == 1, f"job {job['id']} completed exactly once: {statuses}"
        assert statuses.count("in_progress") == 1, f"job {job['id']} ran exactly once: {statuses}"
    assert max(Counter(runner["jobs_served"] for runner in truth["runners"])) <= 1, "a runner serves one job"


def check_journal(stage: Stage, job_ids: list[int]) -> None:
    """Every job's story is there whole: from its first status to its last, and the claim that served it."""
    for job_id in job_ids:
        story = stage.ask(f"/api/v1/jobs/{job_id}")["story"]
        kinds = [line["kind"] for line in story]
        assert kinds.count("job.completed") == 1, f"job {job_id}: {kinds}"
        job_lines = [line for line in story if line["kind"].startswith("job.")]
        assert job_lines[0]["from"] is None
        for before, after in itertools.pairwise(job_lines):
            assert after["from"] == before["to"], "each line goes on where the one before it ended"
        claims: dict[str, list[dict[str, Any]]] = {}
        for line in story:
            if line["subject"]["kind"] == "claim":
                claims.setdefault(line["subject"]["id"], []).append(line)
        assert claims, f"job {job_id} was served by a claim of ours"
    for claim, steps in claim_stories(stage).items():
        assert steps[0]["kind"] == "claim.reserved", claim
        for before, after in itertools.pairwise(steps):
            assert after["from"] == before["to"], f"a gap in the journal of {claim}"
        assert steps[-1]["to"] in OVER, f"{claim} ended as {steps[-1]['to']}"


@pytest.mark.parametrize("killed", [False, True], ids=["control plane stays", "control plane killed once"])
def test_each_job_completes_exactly_once(tmp_path: Path, count: Callable[[int], int], killed: bool) -> None:
    wanted = max(24, count(200))
    with a_fleet(tmp_path, hosts=2, slots=4) as stage:
        disturb(stage)
        rng = Random(7)
        job_ids: list[int] = []
        for jobs in some_runs(rng, wanted):
            job_ids += stage.run(jobs)
        if killed:
            wait_for("a third is done", lambda: len(stage.unfinished(job_ids)) < wanted * 2 / 3, seconds=120)
            stage.control.end(signal.SIGKILL)
            stage.start_control()
        wait_for("all jobs are done", lambda: not stage.unfinished(job_ids), seconds=60 + wanted * 1.5, every=0.5)
        wait_for_all_claims_over(stage)
        check_truth(stage, job_ids)
        check_journal(stage, job_ids)


def leaders(stage: Stage) -> int:
    """How often one of the control planes began to lead, as they logged it."""
    logs = [(stage.folder / f"{program.name}.log").read_text() for program in stage.controls]
    return sum(
        1 for log in logs for line in log.splitlines() if "leadership.changed" in line and json.loads(line)["leads"]
    )


def test_two_control_planes_on_postgresql_one_killed_again_and_again(
    tmp_path: Path, count: Callable[[int], int], postgres: PostgresServer
) -> None:
    wanted, kills = max(24, count(200)), max(2, count(5))
    database = postgres.fresh_database()
    with a_fleet(tmp_path, hosts=2, slots=4, database=database, replicas=2) as stage:
        disturb(stage)
        rng = Random(8)
        job_ids = [job_id for jobs in some_runs(rng, wanted) for job_id in stage.run(jobs)]
        other = stage.controls[1].ready["url"]
        for kill in range(kills):
            left = wanted * (1 - (kill + 1) / (kills + 1))
            wait_for("some more are done", lambda left=left: len(stage.unfinished(job_ids, other)) <= left, seconds=180)
            stage.control.end(signal.SIGKILL)
            stage.start_control()
        wait_for("all jobs are done", lambda: not stage.unfinished(job_ids), seconds=90 + wanted * 1.5, every=0.5)
        wait_for_all_claims_over(stage)
        check_truth(stage, job_ids)
        check_journal(stage, job_ids)
        assert leaders(stage) >= 2, "the second took over when the first was gone"
    postgres.drop_database(database)
