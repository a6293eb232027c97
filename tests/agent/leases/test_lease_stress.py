"""No lease is lost and none is kept for ever, whoever is ended by SIGKILL (host-facts.md 1.5).

Eight jobs at a time, three guards: the agent's own and two other programs that know only the
protocol. Jobs, agent and guards are ended at random. The same harness finds the usual rules guilty.
"""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).with_name("stress")
ROUNDS_OF_A_LOT, LOTS = 1000, 10
LONG_S = 300.0
"""A guard looks at every process for each lease; lots are played beside each other."""


class Stress:
    """The programs of one run of the harness."""

    def __init__(self, folder: Path, place: Path, until, *, guarding: bool) -> None:
        self.folder, self.place, self.until, self.guarding = folder, place, until, guarding
        for name in ("runs", "trash"):
            (folder / name).mkdir(parents=True)
        self.log = (folder / "log").open("w")
        self.running: list[subprocess.Popen[str]] = []
        self.agent = self.start_agent()
        self.guards: list[subprocess.Popen[str]] = []

    def start(self, name: str, *words: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAMS / f"{name}_program.py"), str(self.folder), *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, start_new_session=True)
        self.running.append(process)
        return process

    def start_agent(self) -> subprocess.Popen[str]:
        agent = self.start("agent", self.place, "guard" if self.guarding else "idle")
        assert agent.stdout is not None
        assert agent.stdout.readline() == "ready\n", (self.folder / "log").read_text()
        return agent

    def add_guard(self, rule: str) -> None:
        self.guards.append(self.start("guard", self.place, rule))

    def end(self, process: subprocess.Popen[str]) -> None:
        # With its group: holders are many.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        self.running.remove(process)

    def let_guards_pass(self) -> None:
        """Until each guard has gone twice over everything, however it finds it."""

        def passes(guard: subprocess.Popen[str]) -> int:
            path = self.folder / f"passes-{guard.pid}"
            text = path.read_text() if path.exists() else ""
            return int(text or 0)

        before = {guard.pid: passes(guard) for guard in self.guards}
        self.until(lambda: all(passes(guard) >= before[guard.pid] + 2 for guard in self.guards), "two passes", LONG_S)

    def restart_agent(self) -> None:
        self.end(self.agent)
        self.let_guards_pass()
        self.agent = self.start_agent()

    def restart_guard(self, rule: str) -> None:
        self.end(self.guards.pop(0))
        self.add_guard(rule)

    def happened(self) -> Counter[str]:
        """How often what happened, and `hit by ...` for each hit."""
        path = self.folder / "events"
        events = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return Counter(event["what"] for event in events) + Counter(
            f"hit by {event['by']}" for event in events if event["what"] == "hit"
        )

    def left(self) -> list[str]:
        names = [*(self.folder / "runs").iterdir(), *(self.place / "leases").iterdir()]
        return sorted(path.name for path in names)

    def close(self) -> None:
        for process in list(self.running):
            self.end(process)
        self.log.close()


@pytest.fixture
def stress(tmp_path: Path, tmpfs: Path, until) -> Iterator[object]:
    made: list[Stress] = []

    def make(*, guarding: bool = True) -> Stress:
        name = f"stress-{len(made)}"
        made.append(Stress(tmp_path / name, tmpfs / name, until, guarding=guarding))
        return made[-1]

    yield make
    for each in made:
        each.close()


def play(one: Stress, rounds: int, rule: str, *, seed: int, killing: bool = False, jobs: str = "families") -> None:
    chance = random.Random(seed)
    holders = one.start("holders", rounds, seed, jobs)
    assert holders.stdout is not None
    next_kill = chance.randrange(3, 12)
    for number, _ in enumerate(holders.stdout):
        if killing and number >= next_kill:
            next_kill = number + chance.randrange(8, 25)
            if chance.random() < 0.3:
                one.restart_guard(rule)
            else:
                one.restart_agent()
    assert holders.wait() == 0
    holders.stdout.close()
    one.running.remove(holders)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """10,000 rounds in the proof, in lots that may be played beside each other; 100 in the test."""
    if "lot" in metafunc.fixturenames:
        metafunc.parametrize("lot", range(LOTS if metafunc.config.getoption("--proof") else 1))


def test_no_lease_is_lost_and_none_kept_for_ever(stress, count, until, lot):
    one = stress()
    for _ in range(2):
        one.add_guard("protocol")
    rounds = count(ROUNDS_OF_A_LOT)
    play(one, rounds, "protocol", seed=rounds + lot, killing=True)
    until(lambda: one.left() == [], "every dead workspace and its lease are gone", LONG_S)
    happened = one.happened()
    assert happened["hit"] == 0, happened
    # Jobs that were ended before they had one began nothing; an agent that was ended while it answered, another.
    assert happened["begun"] >= rounds // 2
    assert "Traceback" not in (log := (one.folder / "log").read_text()), log


def test_the_usual_rules_are_found_guilty(stress, count):
    for rule in ("mtime", "pidfile"):
        one = stress(guarding=False)
        one.add_guard(rule)
        play(one, count(400), rule, seed=1)
        assert one.happened()[f"hit by {rule}"] >= 1, (rule, one.happened())


def test_who_takes_only_the_lock_hits_no_job_while_the_agent_lives(stress, count):
    """Our shared lock is not given up for a job that lives, however many guards and sharers there are.

    What a job left behind is another thing: to make sure, the agent must have the lease alone for a
    moment, and who gets it in between has to look, too. So no job leaves anything behind here.
    """
    one = stress()
    for rule in ("careless", "protocol", "sharer"):
        one.add_guard(rule)
    play(one, count(300), "careless", seed=2, jobs="alone")
    one.until(lambda: one.left() == [], "everything is gone")
    assert one.happened()["hit"] == 0, one.happened()
