"""A root as the agent leaves it for hooks, and the hook itself, called as the runner calls it."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from andon.agent.hooks.plan import HookPlan, PlannedSlot, prepare_standalone, write_plan
from andon.agent.installed_programs import install_programs
from andon.agent.layout import Root
from andon.sim.runner.file_commands import parse_pairs

JOB = {
    "GITHUB_REPOSITORY": "acme/app",
    "GITHUB_RUN_ID": "11",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_JOB": "build",
    "RUNNER_NAME": "andon-f-host-a-0-c1",
    "ANDON_SLOT": "0",
}
EXPORT = {"CARGO_TARGET_DIR": "target", "CARGO_HOME": "cargo-home/deep"}


@dataclass
class Ran:
    """One hook that ended."""

    code: int
    lines: list[str]
    env: dict[str, str]
    path: list[str]


@dataclass
class HookPlace:
    """A root with hooks, and a job's variables."""

    root: Root
    folder: Path
    env: dict[str, str] = field(default_factory=lambda: dict(JOB))

    @property
    def env_file(self) -> Path:
        return self.folder / "set_env"

    @property
    def path_file(self) -> Path:
        return self.folder / "add_path"

    def plan(self, *, isolation: str = "preferred", place: str = "root", **slot: str) -> None:
        planned = {"0": PlannedSlot(place=place, export=EXPORT, **slot)}
        plan = HookPlan(host="host-a", isolation=isolation, public_url="https://board.example", slots=planned)
        write_plan(self.root, plan)

    def call(
        self, event: str = "started", *, under: tuple[str, ...] = (), before: Callable[[], object] | None = None
    ) -> Ran:
        """Calls the hook as the runner does; `under` is a command that gets the hook's script as arguments."""
        self.env_file.write_bytes(b"")
        self.path_file.write_bytes(b"")
        env = {"PATH": os.environ["PATH"], **self.env}
        env |= {"GITHUB_ENV": str(self.env_file), "GITHUB_PATH": str(self.path_file)}
        script = self.root.hooks / f"job-{event}.sh"
        ran = subprocess.run(
            [*under, "bash", "-e", str(script)], env=env, stdout=subprocess.PIPE, check=False, preexec_fn=before
        )
        return Ran(
            code=ran.returncode,
            lines=ran.stdout.decode().splitlines(),
            env=parse_pairs(self.env_file.read_text(), command="env"),
            path=self.path_file.read_text().split(),
        )


@pytest.fixture
def hooks(tmp_path: Path) -> HookPlace:
    root = Root(path=tmp_path / "root")
    root.make()
    install_programs(root, Path(sys.executable).resolve())
    prepare_standalone(root, {0: None})
    place = HookPlace(root=root, folder=tmp_path)
    place.plan()
    return place
