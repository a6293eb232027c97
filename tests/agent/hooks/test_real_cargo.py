"""Incident P3 with real cargo: a cancelled attempt's clean-up, while the next attempt builds (R48, R56).

A real agent, its real hooks, and stand-ins of `Runner.Worker` that build with exactly what the hook exported.
The first attempt is cancelled in the middle of its build; what it started goes on writing. The second attempt
starts at once on the other slot, and while it compiles, the first one's last step clears its target directory.
The same race runs twice: with the one `CARGO_TARGET_DIR` of the workflow, and with a workspace for each attempt.
Nothing waits for a time: each step is taken when cargo has said that it finished its n-th crate.
"""

import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from andon.model.wire import JobWord
from tests.support.crates import CRATES, make_crates, toolchain

TOOLS = toolchain()
PATIENCE_S = 120.0
"""A build takes a second; the machine may have much else to do."""
EXPORT = {"place": "root", "export": {"CARGO_TARGET_DIR": "target", "CARGO_HOME": "caches/cargo"}}

pytestmark = pytest.mark.skipif(TOOLS is None, reason="NO CARGO: the race was not run; install rustc and cargo")

WORKER = r"""
claim=${ANDON_RUNNER_NAME##*-}
export RUNNER_NAME="$ANDON_RUNNER_NAME" GITHUB_RUN_ID="${claim%x*}" GITHUB_RUN_ATTEMPT="${claim#*x}"
export GITHUB_REPOSITORY=acme/app GITHUB_JOB=build GITHUB_EVENT_NAME=push GITHUB_ENV="$PWD/env"
unset RUSTFLAGS RUSTC_WRAPPER CARGO_BUILD_TARGET_DIR
: > env; mkdir "$OUT/$claim"; out="$OUT/$claim"; mkfifo "$out/go"; exec 3<> "$out/go"
bash -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED" > "$out/hook"
while IFS= read -r line; do
  [ "$line" ] || continue
  name=${line%%<<*}; end=${line#*<<}; value=
  while IFS= read -r line && [ "$line" != "$end" ]; do value+=${value:+$'\n'}$line; done
  export "$name=$value"
done < env
echo "$CARGO_TARGET_DIR" > "$out/target"; echo "${ANDON_WORKSPACE_ID:-}" > "$out/workspace"
touch "$out/writing"
late() {  # what a step left behind: nobody tells it that its job was cancelled
  trap '' TERM
  while [ -e "$out/writing" ]; do
    mkdir -p "$CARGO_TARGET_DIR/debug" && echo "$claim" > "$CARGO_TARGET_DIR/debug/late-$claim"
    read -r -t 0.05 _ <> "$out/never"
  done
}
mkfifo "$out/never"
cd "$CRATES"
late 2> /dev/null & left=$!
cargo build --locked --offline --message-format=json > "$out/built" 2> "$out/said" & step=$!
trap 'kill -TERM $step; cancelled=yes' TERM
echo $$ > "$out/pid.new"; mv "$out/pid.new" "$out/pid"
wait $step; code=$?
while kill -0 $step 2> /dev/null; do wait $step; code=$?; done
if [ "${cancelled:-}" ]; then
  echo cancelled > "$out/cancelled"
  read -r _ <&3
  rm -rf "$CARGO_TARGET_DIR/debug"
fi
rm -f "$out/writing"
wait $left
bash -e "$ACTIONS_RUNNER_HOOK_JOB_COMPLETED" >> "$out/hook"
echo "$code" > "$out/code.new"; mv "$out/code.new" "$out/code"
"""
LISTENER = """exec -a Runner.Listener bash -c '(exec -a Runner.Worker bash "$WORKER"); true'"""


@dataclass
class Attempt:
    """One attempt's job, by what it wrote."""

    out: Path

    def word(self, name: str) -> str:
        path = self.out / name
        return path.read_text().strip() if path.exists() else ""

    def built(self, *, anew: bool = False) -> int:
        """How many crates cargo has finished; `anew`: without those that it found built."""
        lines = [line for line in self.word("built").splitlines() if line.endswith("}")]
        said = [json.loads(line) for line in lines]
        return sum(one["reason"] == "compiler-artifact" and not (anew and one["fresh"]) for one in said)

    @property
    def over(self) -> bool:
        return bool(self.word("code"))


class Race:
    """The race, as often as it is wanted, on one agent with two slots."""

    def __init__(self, server, make_agent: Callable, folder: Path, workspaces: dict[str, object]) -> None:
        folder.mkdir()
        self.server, self.chance = server, Random(3)
        self.out, self.shared = folder / "out", folder / "shared"
        self.out.mkdir()
        (folder / "worker.sh").write_text(WORKER)
        assert TOOLS is not None
        words = {
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
            "OUT": self.out,
            "CRATES": make_crates(folder / "crates", TOOLS),
            "WORKER": folder / "worker.sh",
            "CARGO_TARGET_DIR": self.shared,
        }
        exports = " ".join(f"{name}='{value}'" for name, value in words.items())
        server.policy = {"public_url": "https://board.example", "workspaces": workspaces}
        self.agent = make_agent(command=["bash", "-c", f"export {exports}; {LISTENER}"], count=2)
        self.agent.start()
        server.until(lambda: server.slots, "slots")

    def once(self, run: int) -> tuple[Attempt, Attempt]:
        """Both attempts of one run, when both are over."""
        first, second = (Attempt(self.out / f"{run}x{at}") for at in (1, 2))
        self.server.claim(f"{run}x1", 0)
        done = self.chance.randint(0, CRATES // 2)
        self._until(lambda: first.word("pid") and first.built() >= done, first, f"{done} crates of the first")
        os.kill(int(first.word("pid")), signal.SIGTERM)
        self.server.claim(f"{run}x2", 1)
        done = self.chance.randint(1, 3)
        self._until(lambda: second.over or second.built(anew=True) >= done, second, f"{done} crates of the second")
        self._until(lambda: first.word("cancelled"), first, "the first one's cancelled step")
        (first.out / "go").write_text("on\n")
        self._until(lambda: first.over and second.over, second, "the end of both")
        self._until_ended(run)
        return first, second

    def _until_ended(self, run: int) -> None:
        names = {f"{run}x1", f"{run}x2"}
        with self.server.changed:
            over = self.server.changed.wait_for(
                lambda: names <= {end.claim for end in self.server.ends}, timeout=PATIENCE_S
            )
        assert over, f"the agent never said that run {run} is over"

    def _until(self, true: Callable[[], object], attempt: Attempt, what: str) -> None:
        """Files give no signal: looks again and again, with a deadline."""
        deadline, pause = datetime.now(UTC) + timedelta(seconds=PATIENCE_S), threading.Event()
        while not true():
            assert datetime.now(UTC) < deadline, f"never: {what}: {attempt.word('hook')} {attempt.word('said')}"
            pause.wait(0.01)


def test_with_one_directory_for_all_the_clean_up_breaks_the_next_build(server, make_agent, tmp_path, count):
    """The incident itself: 46 of 50 in host-facts.md 1.1; at least 24 of 30 here, and 2 of the test's 3."""
    race, tries, failed = Race(server, make_agent, tmp_path / "race", {}), count(30), 0
    for run in range(1, tries + 1):
        first, second = race.once(run)
        assert first.word("target") == second.word("target") == str(race.shared)
        failed += second.word("code") != "0"
    assert failed >= (0.8 * tries if tries >= 30 else 2), f"only {failed} of {tries} builds failed"


def test_with_andon_no_build_fails(server, make_agent, until, tmp_path, count):
    race, tries, failed, ids = Race(server, make_agent, tmp_path / "race", {"p": EXPORT}), count(200, test=8), [], []
    for run in range(1, tries + 1):
        first, second = race.once(run)
        assert first.word("workspace") and second.word("workspace"), first.word("hook") + second.word("hook")
        if second.word("code") != "0":
            failed.append((run, second.word("said")))
        target = Path(second.word("target"))
        assert target != Path(first.word("target"))
        assert (target / "debug" / "whole").exists() and not (target / "debug" / f"late-{run}x1").exists()
        server.runs[str(run)] = "completed"
        ids += [first.word("workspace"), second.word("workspace")]
        server.jobs |= {name: JobWord(id=at, conclusion="success") for at, name in enumerate(ids[-2:])}
        server.tell()
    assert not failed
    assert not race.shared.exists(), "every build was sent to a workspace of its own"
    assert len(set(ids)) == 2 * tries

    def gone() -> bool:
        # Said again each time: this control plane loses an answer that the agent gave up waiting for.
        server.tell()
        return server.leases == ()

    until(gone, "every workspace is gone after its run")
