"""The demo's repository, cloned, built and tested with the real git and make."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from andon.runtime.errors import AndonError
from andon.sim.demo.repository import DemoRepository, make_repository
from andon.sim.demo.runs import demo_runs


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> DemoRepository:
    return make_repository(tmp_path_factory.mktemp("demo") / "app with space")


def run_job(job: dict[str, Any], folder: Path) -> tuple[int, str]:
    """Runs a job's steps as a runner does, up to the first that fails; a HOME without any settings."""
    folder.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    output = ""
    for step in job["steps"]:
        done = subprocess.run(
            ["sh", "-ec", step["run"]], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        output += done.stdout
        if done.returncode != 0:
            return done.returncode, output
    return 0, output


def test_the_main_branch_builds_and_passes(repository: DemoRepository, tmp_path: Path) -> None:
    push, _ = demo_runs(repository)
    results = {job["name"]: run_job(job, tmp_path / job["name"]) for job in push["jobs"]}
    assert {name: code for name, (code, _) in results.items()} == {"build": 0, "lint": 0, "test": 0}, results
    assert "Ran 21 tests" in results["test"][1]
    assert (tmp_path / "build" / "app" / "dist" / "tally.pyz").exists()


def test_the_broken_branch_builds_and_exactly_one_test_finds_the_bug(
    repository: DemoRepository, tmp_path: Path
) -> None:
    _, pull_request = demo_runs(repository)
    results = {job["name"]: run_job(job, tmp_path / job["name"]) for job in pull_request["jobs"]}
    assert results["build"][0] == 0
    assert results["lint"][0] == 0
    code, output = results["test"]
    assert code == 2
    failed = {line.split()[1] for line in output.splitlines() if line.startswith("FAIL:")}
    assert failed == {"test_shares_add_up_to_a_hundred"}
    assert "ERROR:" not in output


def test_the_same_dates_give_the_same_commits(repository: DemoRepository, tmp_path: Path) -> None:
    again = make_repository(tmp_path / "again")
    assert (again.good_sha, again.broken_sha) == (repository.good_sha, repository.broken_sha)
    assert again.good_sha != again.broken_sha


def test_it_needs_a_new_folder_and_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileExistsError):
        make_repository(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AndonError, match="Install git"):
        make_repository(tmp_path / "new")
