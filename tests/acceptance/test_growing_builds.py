"""Incident P14: three builds that grow, on a disk that holds two of them. Nobody meets a full disk (R51).

A real fleet: sandbox GitHub, control plane, an agent whose root lies on a real filesystem of its own, and runners whose
jobs really write. What the builds need is learnt from the first one, and nobody tells it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from andon.sim.stage.loop_filesystem import NotHere, loop_filesystem
from tests.support.fleet import LABELS, Stage, a_fleet, call, wait_for

MIB = 1 << 20
SIZE_MIB = 512
BUILD_MIB = 160
GROWS = f"""
set -e
for part in $(seq {BUILD_MIB // 8}); do
  head -c 8M /dev/urandom > "$ANDON_WORKSPACE/part-$part"
  sleep 0.05
done
sync -f "$ANDON_WORKSPACE"
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`make test` plays it on ext4, `make proof` on each of the three."""
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", ["ext4", "xfs", "btrfs"] if metafunc.config.getoption("--proof") else ["ext4"])


@pytest.fixture
def fleet(kind: str, tmp_path: Path) -> Iterator[Stage]:
    try:
        with loop_filesystem(kind, SIZE_MIB) as disk:
            (tmp_path / "host-a").symlink_to(disk)
            marks = "[agent.disk]\nsoft_percent = 3\nhard_percent = 2\nemergency_percent = 1\n"
            with a_fleet(tmp_path, hosts=1, slots=3, marks=marks) as stage:
                yield stage
    except NotHere as error:
        pytest.skip(f"NOT PLAYED on {kind}: {error}")


def build(name: str) -> dict[str, object]:
    return {"name": name, "key": "build", "labels": LABELS, "steps": [{"name": "Build", "run": GROWS}]}


def test_the_third_waits_until_there_is_room(fleet: Stage, request: pytest.FixtureRequest) -> None:
    (first,) = fleet.run([build("build (1)")])
    wait_for("the first build is over", lambda: not fleet.unfinished([first]))
    learnt = wait_for("what it wrote is learnt", lambda: known_bytes(fleet), seconds=90)
    assert BUILD_MIB * MIB <= learnt <= (BUILD_MIB + 20) * MIB
    # Of three pull requests: what a run has left behind stays until all of it is over (R48).
    jobs = [job for number in (2, 3, 4) for job in fleet.run([build(f"build ({number})")])]
    why = wait_for(
        "one waits for room", lambda: next((one for one in whys(fleet, jobs) if one["cause"] == "no_disk"), None)
    )
    assert "GiB" in why["text"] or "MiB" in why["text"], why
    assert why["facts"]["expected"] == learnt and why["facts"]["floor"] > 0
    # What the others left goes a minute after they are over: `make proof` waits for the third one's end, too.
    many = 3 if request.config.getoption("--proof") else 2
    wait_for("the builds are over", lambda: len(fleet.unfinished(jobs)) <= 3 - many, seconds=150)
    ends = conclusions(fleet)
    over = [ends[job] for job in (first, *jobs) if job in ends]
    # One more may have ended while we asked.
    assert len(over) >= 1 + many and set(over) == {"success"}, json.dumps(fleet.truth())[:2000]


def conclusions(fleet: Stage) -> dict[int, str]:
    """Of the jobs that are over."""
    over = call("GET", f"{fleet.url}/api/v1/jobs?state=completed&limit=500")["items"]
    return {job["id"]: job["conclusion"] for job in over}


def known_bytes(fleet: Stage) -> int | None:
    """The bytes of the first build's workspace, as its deletion told them."""
    for disk in fleet.ask("/api/v1/disk")["items"]:
        for deletion in disk["deletions"]:
            if deletion["bytes"]:
                return int(deletion["bytes"])
    return None


def whys(fleet: Stage, jobs: list[int]) -> list[dict[str, Any]]:
    """Why each of them waits that is known to wait."""
    waiting = [job["id"] for job in fleet.ask("/api/v1/jobs?state=queued&limit=500")["items"]]
    return [fleet.ask(f"/api/v1/jobs/{job}/why") for job in jobs if job in waiting]


SLOW_MIB, HOG_MIB = 60, 20
SLOW = f"""
set -e
for part in $(seq {SLOW_MIB // 4}); do head -c 4M /dev/urandom > "$ANDON_WORKSPACE/part-$part"; sleep PAUSE; done
"""
HOG = f"""
set -e
parts=200
[ -e "MARK" ] || {{ touch "MARK"; parts={HOG_MIB // 4}; }}
for part in $(seq $parts); do head -c 4M /dev/urandom > "$ANDON_WORKSPACE/part-$part"; sleep 0.1; done
"""


def test_who_takes_what_others_were_promised_is_ended_and_nobody_else(fleet: Stage, tmp_path: Path) -> None:
    """host-facts.md 2.5: one run fails instead of eight. This one would fill the disk before the others are over."""

    def a_job(name: str, script: str) -> list[dict[str, object]]:
        return [{"name": name, "key": name, "labels": LABELS, "steps": [{"name": "Write", "run": script}]}]

    hog = HOG.replace("MARK", str(tmp_path / "hog-ran"))
    first = [*fleet.run(a_job("slow", SLOW.replace("PAUSE", "0"))), *fleet.run(a_job("hog", hog))]
    wait_for("one of each kind is over", lambda: not fleet.unfinished(first))
    wait_for("what both kinds write is learnt", lambda: len(sizes(fleet)) == 2, seconds=120)
    slow = a_job("slow", SLOW.replace("PAUSE", "0.8"))
    jobs = [*fleet.run(slow), *fleet.run(slow), *fleet.run(a_job("hog", hog))]
    said = wait_for("it is said why one was ended", lambda: ended_for_room(fleet), seconds=60)
    assert "its kind may; others on its disk were promised" in said
    wait_for("all are over", lambda: not fleet.unfinished(jobs), seconds=150)
    assert [conclusions(fleet).get(job) for job in jobs] == ["success", "success", "failure"], json.dumps(fleet.truth())


def ended_for_room(fleet: Stage) -> str | None:
    words = [each for space in fleet.ask("/api/v1/workspaces")["items"] for each in space["held_by"]]
    return next((each for each in words if each.startswith("its steps were ended")), None)


def sizes(fleet: Stage) -> list[int]:
    return [each["bytes"] for disk in fleet.ask("/api/v1/disk")["items"] for each in disk["deletions"] if each["bytes"]]
