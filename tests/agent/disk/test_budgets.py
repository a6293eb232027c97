"""Who takes the room of others is ended once, by its measured size; what cannot be measured is left."""

import asyncio
from pathlib import Path
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


class NoQuotas:
    """What the kernel would hold; without `here` it gives none."""

    def __init__(self) -> None:
        self.here = False
        self.held: dict[str, int | None] = {}
        self.charged: dict[str, int] = {}

    def written(self, path: Path) -> int | None:
        return self.charged.get(path.name)

    def hold(self, path: Path, most: int | None) -> bool:
        if self.here:
            self.held[path.name] = most
        return self.here


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
        self.quotas = NoQuotas()
        self.budgets = Budgets(
            lambda: self.records,
            lambda id: self.expected.get(id),
            lambda record: None,
            self.quotas,  # type: ignore[arg-type]
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


def test_where_the_kernel_holds_it_nobody_is_ended_and_it_is_let_go_when_there_is_room(host: Host) -> None:
    host.quotas.here = True
    look(host)
    assert host.ended == [] and host.quotas.held == {"hog": 12587008, "other": None}
    assert host.budgets.said("hog")[0].startswith("it may write no more than 12.0 MiB: it had written 12.0 MiB")
    host.free = 800 << 20
    look(host)
    look(host)
    assert host.quotas.held == {"hog": None, "other": None}


def test_what_an_agent_that_was_ended_bound_is_let_go(host: Host) -> None:
    host.quotas.here = True
    host.quotas.held = {"hog": 5, "other": 5}
    host.free = 800 << 20
    look(host)
    assert host.quotas.held == {"hog": None, "other": None}
    host.quotas.held.clear()
    look(host)
    assert host.quotas.held == {}, "once is enough"


def test_it_is_held_by_what_the_kernel_charged_it_with(host: Host) -> None:
    host.quotas.here, host.quotas.charged = True, {"hog": 300 << 20, "other": 10 << 20}
    host.free = 140 << 20
    look(host)
    # 90 MiB are promised to the other one, and 40 MiB stay above that.
    assert host.quotas.held["hog"] == 310 << 20
