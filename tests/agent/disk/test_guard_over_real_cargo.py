"""Incident P2 with real cargo: a guard that clears target directories by their age, over builds that run (R46).

A real agent, its real hooks, and a stand-in of `Runner.Worker` that builds with exactly what the hook exported. When
cargo has finished some crates, the disk is swept, again and again until the build is over: once by the rule that the
incident's guard had (a directory that was not modified for a while is old), and then by the agent, told to sweep.
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from andon.agent.sockets import ask_agent
from andon.model.wire import JobWord
from tests.support.crates import CRATES, make_crates, toolchain

TOOLS = toolchain()
PATIENCE_S = 120.0
EXPORT = {"place": "root", "export": {"CARGO_TARGET_DIR": "target", "CARGO_HOME": "caches/cargo"}}

pytestmark = pytest.mark.skipif(TOOLS is None, reason="NO CARGO: no guard went over a build; install rustc and cargo")

WORKER = r"""
claim=${ANDON_RUNNER_NAME##*-}
export RUNNER_NAME="$ANDON_RUNNER_NAME" GITHUB_RUN_ID="$claim" GITHUB_RUN_ATTEMPT=1
export GITHUB_REPOSITORY=acme/app GITHUB_JOB=build GITHUB_EVENT_NAME=push GITHUB_ENV="$PWD/env"
unset RUSTFLAGS RUSTC_WRAPPER CARGO_BUILD_TARGET_DIR
: > env; mkdir "$OUT/$claim"; out="$OUT/$claim"
bash -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED" > "$out/hook"
while IFS= read -r line; do
  [ "$line" ] || continue
  name=${line%%<<*}; end=${line#*<<}; value=
  while IFS= read -r line && [ "$line" != "$end" ]; do value+=${value:+$'\n'}$line; done
  export "$name=$value"
done < env
echo "${ANDON_WORKSPACE_ID:-}" > "$out/workspace"; echo "$CARGO_TARGET_DIR" > "$out/target"
cd "$CRATES"
cargo build --locked --offline --message-format=json > "$out/built" 2> "$out/said"; code=$?
bash -e "$ACTIONS_RUNNER_HOOK_JOB_COMPLETED" >> "$out/hook"
echo "$code" > "$out/code.new"; mv "$out/code.new" "$out/code"
"""
LISTENER = """exec -a Runner.Listener bash -c '(exec -a Runner.Worker bash "$WORKER"); true'"""


class Builds:
    """Builds on one agent, one after the other."""

    def __init__(self, server, make_agent: Callable, folder: Path) -> None:
        self.server, self.out, self.chance = server, folder / "out", Random(5)
        self.out.mkdir(parents=True)
        (folder / "worker.sh").write_text(WORKER)
        assert TOOLS is not None
        words = {
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
            "OUT": self.out,
            "CRATES": make_crates(folder / "crates", TOOLS),
            "WORKER": folder / "worker.sh",
        }
        exports = " ".join(f"{name}='{value}'" for name, value in words.items())
        server.policy = {"public_url": "https://board.example", "workspaces": {"p": EXPORT}, "guard": "act"}
        self.agent = make_agent(command=["bash", "-c", f"export {exports}; {LISTENER}"], count=1)
        self.agent.start()
        server.until(lambda: server.slots, "slots")

    def word(self, run: int, name: str) -> str:
        path = self.out / str(run) / name
        return path.read_text().strip() if path.exists() else ""

    def built(self, run: int) -> int:
        lines = [line for line in self.word(run, "built").splitlines() if line.endswith("}")]
        return sum(json.loads(line)["reason"] == "compiler-artifact" for line in lines)

    def once(self, run: int, sweep: Callable[[int], None]) -> str:
        """Cargo's exit code of a build during which the disk is swept until it is over."""
        self.server.claim(str(run), 0)
        some = self.chance.randint(1, CRATES - 2)
        self.until(lambda: self.word(run, "code") or self.built(run) >= some, run, f"{some} crates")
        assert not self.word(run, "code"), "over before the first sweep"
        while not self.word(run, "code"):
            sweep(run)
        with self.server.changed:
            over = self.server.changed.wait_for(
                lambda: str(run) in {end.claim for end in self.server.ends}, timeout=PATIENCE_S
            )
        assert over, f"the agent never said that run {run} is over"
        return self.word(run, "code")

    def until(self, true: Callable[[], object], run: int, what: str) -> None:
        """Files give no signal: looks again and again, with a deadline."""
        deadline, pause = datetime.now(UTC) + timedelta(seconds=PATIENCE_S), threading.Event()
        while not true():
            assert datetime.now(UTC) < deadline, f"never: {what}: {self.word(run, 'hook')} {self.word(run, 'said')}"
            pause.wait(0.01)


def test_a_guard_by_modification_time_breaks_every_build(server, make_agent, tmp_path, count):
    """The incident: what a directory's own time says is the last name in it, not the last write below."""
    builds, tries, broken = Builds(server, make_agent, tmp_path / "builds"), count(30), 0

    def by_age(run: int) -> None:
        target = Path(builds.word(run, "target"))
        with_age = [each for each in (target / "debug",) if each.exists()]
        for each in with_age:
            if time.time() - each.stat().st_mtime > 0.05:
                shutil.rmtree(each, ignore_errors=True)

    for run in range(1, tries + 1):
        broken += builds.once(run, by_age) != "0"
    assert broken == tries, f"only {broken} of {tries} builds were broken"


def test_the_agent_told_to_sweep_breaks_none(server, make_agent, until, tmp_path, count):
    builds, tries = Builds(server, make_agent, tmp_path / "builds"), count(50)
    socket, ids, sweeps = builds.agent.root.socket, [], 0

    def by_andon(run: int) -> None:
        nonlocal sweeps
        assert ask_agent(socket, {"v": 1, "disk": "sweep"}) == {"v": 1, "ok": True}
        sweeps += 1

    for run in range(1, tries + 1):
        code = builds.once(run, by_andon)
        assert code == "0", (run, builds.word(run, "said"))
        assert (Path(builds.word(run, "target")) / "debug" / "whole").exists()
        server.runs[str(run)] = "completed"
        ids.append(builds.word(run, "workspace"))
        server.jobs |= {ids[-1]: JobWord(id=run, conclusion="failure")}
        server.tell()
    assert sweeps >= tries

    def gone() -> bool:
        # Failed ones would be kept for a day: it is the sweep that takes them.
        server.tell()
        ask_agent(socket, {"v": 1, "disk": "sweep"})
        return server.leases == ()

    until(gone, "every workspace goes when it may")
    told = {one.lease: one.actor for one in server.deletions}
    assert {told[name] for name in ids} == {"agent:guard"}
