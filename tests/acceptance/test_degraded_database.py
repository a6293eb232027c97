"""With the database away: webhooks are kept, jobs go on and their ends are told later, and everybody who
looks is told so (R1, R8, R86)."""

import html
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from andon.sim.stage.postgres import PostgresServer
from tests.acceptance.test_restarts import gone, held_jobs, running
from tests.store.test_postgres_stands_still import frozen
from tests.support.claims_told import wait_for_all_claims_over
from tests.support.fleet import LABELS, Stage, a_fleet, call, wait_for


@pytest.fixture
def durable() -> Iterator[PostgresServer]:
    """A server whose commits reach the disk, and that a test may stop."""
    with PostgresServer.started() as server:
        yield server


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def text_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return " ".join(html.unescape(re.sub("<[^>]*>", " ", answer.read().decode())).split())


def conditions(stage: Stage) -> dict[str, Any]:
    return {each["code"]: each for each in stage.ask("/api/v1/status")["degraded"]}


def delivered(stage: Stage) -> list[int]:
    """Statuses that the control plane answered GitHub's deliveries with."""
    return [send["status_code"] for each in stage.truth()["deliveries"] for send in each["attempts"]]


def test_a_database_that_goes_away_costs_time_and_no_job(tmp_path: Path, durable: PostgresServer) -> None:
    with a_fleet(tmp_path, hosts=1, slots=3, database=durable.fresh_database()) as stage:
        first = stage.run(held_jobs(tmp_path)[:2])
        wait_for("both jobs run", lambda: len(running(tmp_path)) == 2)
        steps = running(tmp_path)
        wait_for("both are known to run", lambda: len(stage.ask("/api/v1/jobs?state=in_progress")["items"]) == 2)
        assert "2 jobs run" in text_of(f"{stage.url}/")
        assert conditions(stage) == {}
        wait_for("the period of the sweep is shown", lambda: stage.ask("/api/v1/status")["sweep"])
        assert stage.ask("/api/v1/status")["sweep"] == [{"owner": "acme", "period_s": 3.0, "wanted_s": 3.0}]
        assert "GitHub's lists are read every 3 s for acme" in text_of(f"{stage.url}/")
        durable.stop(signal.SIGQUIT)
        (away,) = wait_for("it is noticed", lambda: conditions(stage)).values()
        assert away["code"] == "database.away" and away["since"] is not None

        # The board comes up, says so, and shows what was read last.
        board = text_of(f"{stage.url}/")
        assert "The database does not answer: this is what was read last." in board
        assert "Degraded:" in board and "2 jobs run" in board
        assert "Webhooks are kept on this machine's disk" in board
        assert status_of(f"{stage.url}/api/v1/jobs") == 503
        assert 'andon_degraded{condition="database.away"} 1.0' in text_of(f"{stage.url}/metrics")
        ran = subprocess.run(
            [sys.executable, "-m", "andon", "status", "--server", stage.url], capture_output=True, text=True, timeout=60
        )
        assert ran.returncode == 1, ran.stderr
        assert "The database does not answer" in ran.stdout and "Jobs that run go on" in ran.stdout

        # A new job's webhook is durable on the disk; the held jobs end while nobody can write it down.
        later = stage.run([{"name": "later", "labels": LABELS, "steps": [{"run": "true"}]}])
        wait_for("the webhook is on the disk", lambda: list((tmp_path / "spool").glob("*.segment")))
        assert gone(steps) == [], "the jobs go on"
        (tmp_path / "go").touch()
        wait_for("GitHub has both as completed", lambda: completed(stage, first))
        # One that is under way has no status yet.
        wait_for("the last delivery is answered", lambda: None not in delivered(stage))
        assert set(delivered(stage)) == {202}, "every delivery was acknowledged, durably"

        durable.start()
        wait_for("everything is known and done", lambda: not stage.unfinished([*first, *later]), seconds=60)
        wait_for_all_claims_over(stage)
        for job_id in first:
            job = stage.ask(f"/api/v1/jobs/{job_id}")
            assert job["conclusion"] == "success"
            kinds = [line["kind"] for line in job["story"]]
            assert "claim.orphaned" not in kinds and "claim.released" not in kinds
            settled = [line for line in job["story"] if line["kind"] == "claim.settled"]
            assert [line["evidence"].get("exit") for line in settled] == [0], "the agent kept its report"
        assert len(running(tmp_path)) == 2, "none was started a second time"
        wait_for("nothing is degraded", lambda: not conditions(stage))
        assert "Degraded:" not in text_of(f"{stage.url}/")


def completed(stage: Stage, job_ids: list[int]) -> bool:
    found = {job["id"]: job["status"] for job in stage.truth()["jobs"]}
    return all(found[job_id] == "completed" for job_id in job_ids)


def test_a_control_plane_that_starts_without_its_database_waits_for_it(tmp_path: Path, durable: PostgresServer) -> None:
    with a_fleet(tmp_path, hosts=1, slots=2, database=durable.fresh_database()) as stage:
        held = stage.run(held_jobs(tmp_path)[:1])
        wait_for("the job runs", lambda: len(running(tmp_path)) == 1)
        steps = running(tmp_path)
        durable.stop(signal.SIGQUIT)
        assert stage.control.end() == 0
        stage.start_control()

        # It answers, says what is wrong, and keeps what comes.
        (away,) = conditions(stage).values()
        assert away["code"] == "database.away" and "refused" in away["text"]
        assert (status_of(f"{stage.url}/healthz"), status_of(f"{stage.url}/readyz")) == (200, 503)
        assert (status_of(f"{stage.url}/"), status_of(f"{stage.url}/api/v1/jobs")) == (503, 503)
        assert 'andon_degraded{condition="database.away"} 1.0' in text_of(f"{stage.url}/metrics")
        later = stage.run([{"name": "later", "labels": LABELS, "steps": [{"run": "true"}]}])
        wait_for("the webhook is on the disk", lambda: list((tmp_path / "spool").glob("*.segment")))
        assert gone(steps) == [], "the job goes on"
        assert set(delivered(stage)) == {202}

        durable.start()
        wait_for("it works", lambda: status_of(f"{stage.url}/readyz") == 200)
        (tmp_path / "go").touch()
        wait_for("everything is known and done", lambda: not stage.unfinished([*held, *later]), seconds=60)
        wait_for_all_claims_over(stage)
        assert len(running(tmp_path)) == 1, "it was not started a second time"
        wait_for("nothing is degraded", lambda: not conditions(stage))


def test_a_database_that_stands_still_hangs_nobody_who_looks(tmp_path: Path, durable: PostgresServer) -> None:
    database = durable.fresh_database()
    with a_fleet(tmp_path, hosts=1, slots=1, database=database) as stage:
        assert "The only host reports." in text_of(f"{stage.url}/")
        with frozen(database):
            wait_for("it is noticed", lambda: "database.away" in conditions(stage))
            assert "The database does not answer: this is what was read last." in text_of(f"{stage.url}/")
            assert status_of(f"{stage.url}/queue") == 503
            body = {"repository": "acme/app", "jobs": [{"name": "a", "labels": LABELS, "steps": [{"run": "true"}]}]}
            later = list(call("POST", f"{stage.github}/_sandbox/runs", {**body, "event": "push"})["jobs"])
            wait_for("the webhook is on the disk", lambda: list((tmp_path / "spool").glob("*.segment")))
        wait_for("nothing is degraded", lambda: not conditions(stage))
        wait_for("the job is done", lambda: not stage.unfinished(later), seconds=60)
