"""Jobs cut off with root's files in their checkout: no checkout after them meets a permission error (P6, R57).

The runner is adopted and its user has no rights; a "container" is a process tree of root's that writes into
the checkout until SIGKILL. The checkout is real git, run as the job's user, as actions/checkout runs it.
"""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from andon.cli.main import main
from tests.support.as_nobody import NOBODY
from tests.support.runner_folders import RunnerHome, wait_until

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="NOT TESTED: what root leaves in a checkout needs root; run these as root"
)
CHECKOUT = r"""#!/bin/bash
# The main lines of actions/checkout@v4: a tree that cannot be cleaned is deleted and fetched anew.
cd _work/app/app || exit 1
export GIT_CONFIG_GLOBAL=/dev/null GIT_TERMINAL_PROMPT=0 HOME=/nonexistent
if ! { git clean -ffdx && git reset --hard HEAD; }; then
  find . -mindepth 1 -maxdepth 1 -exec rm -rf -- {} + || exit 1
  git init -q . && git remote add origin ../../../origin || exit 1
fi
git fetch -q --no-tags --prune origin +HEAD:refs/remotes/origin/main || exit 1
git checkout -q --force -B main refs/remotes/origin/main && git log -1 --format=%H
"""
WORKER = r"""#!/bin/bash
cd "$(dirname "$0")/.."
echo "worker $$" >> _diag/said
export GITHUB_REPOSITORY=acme/app GITHUB_RUN_ID=$(grep -c worker _diag/said) GITHUB_RUN_ATTEMPT=1 GITHUB_JOB=build
export RUNNER_NAME=old-1 GITHUB_ENV="$PWD/_work/_temp/env"
mkdir -p _work/app/app _work/_temp; : > "$GITHUB_ENV"
if [ -n "$ACTIONS_RUNNER_HOOK_JOB_STARTED" ]; then
  (cd _work/app/app; bash -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED") >> _diag/hook 2>&1
fi
LC_ALL=C bash ./checkout.sh > _diag/checkout 2>&1
echo "checked out $?" >> _diag/said
echo job >> _diag/said
read -r what <> finish
"""
CONTAINER = r"""
import os, random, sys
chance, at = random.Random(int(sys.argv[1])), sys.argv[2]
if os.fork() == 0:
    chance = random.Random(int(sys.argv[1]) + 1_000_000)
while True:
    folder = os.path.join(at, chance.choice(["target", ".git/objects", "src", "new\nline", "../../_temp", "."]))
    for _ in range(chance.randrange(4)):
        folder = os.path.join(folder, chance.choice("abc"))
    try:
        os.makedirs(folder, mode=chance.choice([0o755, 0o755, 0o700, 0o555]), exist_ok=True)
        name = os.path.join(os.fsencode(folder), b"%d" % chance.randrange(10**9) + chance.choice([b"", b"\xff", b"\n"]))
        with open(name, "wb") as file:
            file.write(b"of root")
        os.chmod(name, chance.choice([0o644, 0o644, 0o444, 0o600]))
        if chance.random() < 0.1:
            os.symlink("/etc/shadow", name + b".link")
        for tracked in (".git/FETCH_HEAD", "src/main.rs"):
            if chance.random() < 0.05:
                os.unlink(os.path.join(at, tracked))
                with open(os.path.join(at, tracked), "w") as file:
                    file.write("of root")
    except FileNotFoundError:
        pass
    os.write(1, b".")
"""


class NobodysRunner(RunnerHome):
    """Belongs to a user without rights."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        (path / "bin" / "Runner.Worker").write_text(WORKER)
        (path / "checkout.sh").write_text(CHECKOUT)
        origin = path / "origin"
        (origin / "src").mkdir(parents=True)
        (origin / "src" / "main.rs").write_text("fn main() {}\n")
        identity = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
        for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "one"]):
            subprocess.run(["git", *words], cwd=origin, check=True)
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", path], check=True)

    def start(self, environ: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [str(self.path / "run.sh")],
            start_new_session=True,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            env={"PATH": os.environ["PATH"], **(environ or {})},
        )
        wait_until(lambda: self.listeners(), "it listens")

    @property
    def checkout(self) -> Path:
        return self.path / "_work" / "app" / "app"

    def run_job(self) -> tuple[bool, str]:
        """Up to the first step: whether the checkout went well, and all that it said."""
        self.begin_job()
        said = (self.path / "_diag" / "checkout").read_text(errors="replace")
        last = [line for line in self.said() if line.startswith("checked out")][-1]
        return last == "checked out 0", said

    def cut_off(self, seed: int) -> None:
        """A container of root's writes into the checkout; both it and the job end by SIGKILL in the middle."""
        chance = random.Random(seed)
        with subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", CONTAINER, str(seed), str(self.checkout)],
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
        ) as container:
            assert container.stdout is not None
            assert container.stdout.read(chance.randrange(20, 200))
            worker = next(int(line.split()[1]) for line in reversed(self.said()) if line.startswith("worker"))
            os.kill(worker, signal.SIGKILL)
            os.killpg(container.pid, signal.SIGKILL)
            # Its end of the pipe closes with the last of the tree.
            container.stdout.read()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Where a user without rights comes to, also while other tests begin, who close their folders to it."""
    with TemporaryDirectory(prefix="andon-left-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[NobodysRunner]:
    home = NobodysRunner(tmp_path / "old-1")
    try:
        yield home
    finally:
        home.clean_up()


@pytest.fixture
def adopted(runner: NobodysRunner, make_agent, server) -> Callable[[], str]:
    """The runner with an agent; gives the agent's log."""
    agent = make_agent("exit 0", timing={"look": 0.1})
    assert main(["agent", "adopt", "--config", str(agent.config), str(runner.path)]) == 0
    agent.start()
    runner.start()
    server.until_slot(1000, "idle")
    return lambda: agent.log.read_text()


def test_without_an_agent_the_next_checkout_meets_what_root_left(runner: NobodysRunner) -> None:
    runner.start()
    assert runner.run_job()[0]
    runner.cut_off(1)
    well, said = runner.run_job()
    assert not well and "Permission denied" in said


def test_no_checkout_after_a_job_that_was_cut_off_meets_a_permission_error(
    runner: NobodysRunner, adopted: Callable[[], str], count: Callable[[int], int]
) -> None:
    assert runner.run_job()[0]
    failed: list[str] = []
    for seed in range(count(100)):
        runner.cut_off(seed)
        assert any(each.lstat().st_uid == 0 for each in runner.checkout.rglob("*")), "root left nothing"
        well, said = runner.run_job()
        if not well or "denied" in said or "not permitted" in said:
            failed.append(f"{seed}: {said}")
    assert failed == []
    assert adopted().count("leftovers.given") >= count(100)
    assert (runner.checkout / "src" / "main.rs").read_text() == "fn main() {}\n"
    assert "were given to this user" in (runner.path / "_diag" / "hook").read_text()
