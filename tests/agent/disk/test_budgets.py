"""Who takes the room of others is ended once, by its measured size; what cannot be measured is left."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from andon.agent.disk import budgets
from andon.agent.disk.budgets import AGAIN_S, IDLE_S, LOOK_S, Budgets
from andon.model.config import Disk
from andon.model.rails import RailMode
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import JobIdentity, JobProcess, LeaseRecord
from andon.rules.disk_marks import Room
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock

TOTAL = 1000 << 20


class Host:
    """Two jobs on one filesystem, whose free room the test sets."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = VirtualClock()
        self.free = 100 << 20
        self.mode: RailMode = "act"
        self.ended: list[int] = []
        self.expected: dict[str, int] = {"hog": 1 << 20, "other": 100 << 20}
        self.records = [a_record(folder, "hog", 1, 12 << 20), a_record(folder, "other", 2, 0)]
        self.told = 0
        monkeypatch.setattr(budgets, "room_at", lambda path: Room(total=TOTAL, free=self.free))
        monkeypatch.setattr(budgets, "mount_of", lambda path: SimpleNamespace(device="7:0"))
        self.budgets = Budgets(
            lambda: self.records,
            lambda id: self.expected.get(id),
            lambda record: None,
            self._end,
            Disk(),
            mode=lambda: self.mode,
            changed=self._tell,
            clock=self.clock,
            log=logger("test"),
        )

    async def _end(self, process: JobProcess) -> int:
        self.ended.append(process.pid)
        return 1

    def _tell(self) -> None:
        self.told += 1


def a_record(folder: Path, id: str, pid: int, bytes: int) -> LeaseRecord:
    path = folder / id
    path.mkdir()
    (path / "out").write_bytes(b"x" * bytes)
    found = path.stat()
    return LeaseRecord(
        id=id,
        state=WorkspaceState.LEASED,
        path=str(path),
        device=found.st_dev,
        inode=found.st_ino,
        slot=0,
        claim=None,
        job=JobIdentity(repository="o/r", run_id=1, attempt=1, job="j", runner="r"),
        boot_id="boot",
        process=JobProcess(pid=pid, start=1, uid=0, gid=0),
        made_at=VirtualClock().now(),
    )


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Host(tmp_path, monkeypatch)
    yield made
    asyncio.run(made.budgets.close())


def look(host: Host, after_s: float = LOOK_S) -> float:
    host.clock.advance(after_s)
    return asyncio.run(host.budgets.look())


def test_it_is_ended_once_and_people_are_told_why(host: Host) -> None:
    assert look(host) == LOOK_S
    assert look(host) == LOOK_S
    assert host.ended == [1] and host.told == 1
    (said,) = host.budgets.said("hog")
    assert said.startswith("its steps were ended: it had written 12.") and "100.0 MiB" in said
    assert host.budgets.said("other") == ()
    look(host, AGAIN_S)
    assert host.ended == [1, 1], "a step that cleans up may be the next that fills it"


def test_where_there_is_room_nobody_is_even_measured(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "tree_size", lambda path, go_on: pytest.fail("it was walked through"))
    host.free = 600 << 20
    look(host)
    assert host.ended == []


def test_room_that_goes_fast_counts_as_gone(host: Host) -> None:
    host.free = 400 << 20
    look(host)
    assert host.ended == []
    host.free = 360 << 20
    look(host)
    assert host.ended == [1], "at 40 MiB/s the promise is broken before an end would help"


def test_what_cannot_be_measured_in_time_goes_on(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "MEASURE_S", -1.0)
    look(host)
    assert host.ended == [] and host.budgets.said("hog") == ()


def test_a_guard_that_does_not_act_only_says_so(host: Host) -> None:
    host.mode = "observe"
    look(host)
    assert host.ended == [] and host.budgets.said("hog")[0].startswith("its steps would have been ended")


def test_alone_or_without_a_known_kind_it_goes_on(host: Host) -> None:
    del host.expected["hog"]
    look(host)
    host.expected["hog"] = 1
    host.records = host.records[:1]
    look(host)
    assert host.ended == []
    host.records = []
    assert look(host) == IDLE_S
