"""Workspaces that go in one pass go by one look at the kernel, each under its own lock; what is used stays (R46)."""

import asyncio
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from andon.agent.disk.history import History
from andon.agent.disk.journal import DeletionJournal, JournalUnusable
from andon.agent.leases.evidence import Evidence, Found
from andon.agent.leases.place import open_place
from andon.agent.leases.table import LeaseHeld, LeaseTable
from andon.agent.process_identity import boot_id, start_ticks
from andon.agent.workspaces.parts import ToGo
from andon.agent.workspaces.removing import LeasedRemover
from andon.model.disk import Deletion
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import Hold, JobIdentity, JobProcess, LeaseRecord
from andon.runtime.clock import SystemClock
from andon.runtime.logging import logger

TAKES = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_SH | fcntl.LOCK_NB)"


class Looks(Evidence):
    """Counts, and lets a test do something while the look is under way."""

    def __init__(self) -> None:
        super().__init__(SystemClock(), boot_id())
        self.count = 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def holds(self, records, lock_files=None) -> Found:
        self.count += 1
        found = await super().holds(records, lock_files)
        self.meanwhile()
        return found


class Host:
    def __init__(self, folder: Path) -> None:
        self.runs, self.trash = folder / "runs", folder / "trash"
        self.runs.mkdir()
        self.trash.mkdir()
        self.place = open_place(folder / "leases", any_filesystem=True)
        log = logger("agent")
        self.table = LeaseTable.open(self.place, boot_id(), log, spares=4)
        self.journal = DeletionJournal(self.place.journal, History(folder / "history", log), log)
        self.looks = Looks()
        self.before_rename: Callable[[LeaseRecord], None] = lambda record: None
        self.remover = LeasedRemover(
            self.table,
            self.looks,
            self._put_aside,
            self.journal,
            size_of=lambda record: 512,
            nonce=lambda: os.urandom(5).hex(),
            clock=SystemClock(),
        )

    def dead(self, name: str) -> LeaseRecord:
        path = self.runs / name
        path.mkdir()
        found = path.stat()
        record = LeaseRecord(
            id=name,
            state=WorkspaceState.DEAD,
            path=str(path),
            device=found.st_dev,
            inode=found.st_ino,
            slot=0,
            claim=None,
            job=JobIdentity(repository="acme/app", run_id=7, attempt=1, job="build", runner="andon-1"),
            boot_id=boot_id(),
            process=None,
            made_at=datetime(2026, 11, 24, tzinfo=UTC),
        )
        self.table.take(record)
        return record

    def _put_aside(self, record: LeaseRecord, name: str) -> str | None:
        self.before_rename(record)
        Path(record.path).rename(self.trash / record.id)
        return None

    def take_away(self, *records: LeaseRecord) -> dict[str, Hold | None]:
        going = tuple(ToGo(record=one, actor="agent:keeper", reason="its run is over") for one in records)
        return dict(asyncio.run(self.remover.take_away(going)))

    def trashed(self) -> set[str]:
        return {each.name for each in self.trash.iterdir()}

    def is_free(self, id: str) -> bool:
        """Whether another program could take the lease now."""
        command = [sys.executable, "-I", "-S", "-c", TAKES, str(self.place.leases / id)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def close(self) -> None:
        self.table.close()
        self.journal.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.close()


def this_process() -> JobProcess:
    start = start_ticks(os.getpid())
    assert start is not None
    return JobProcess(pid=os.getpid(), start=start, uid=os.getuid(), gid=os.getgid())


def test_many_go_by_one_look_and_each_has_its_line(host: Host) -> None:
    records = [host.dead(f"7-1-build-{number}") for number in range(20)]
    assert set(host.take_away(*records).values()) == {None}
    assert host.looks.count == 1
    assert host.trashed() == {one.id for one in records} and host.table.records() == ()
    assert {one.lease for one in host.journal.unheard()} == host.trashed()


def test_what_is_used_or_leased_or_locked_stays_and_the_others_go(host: Host) -> None:
    used, locked, leased, free = (host.dead(name) for name in ("used", "locked", "leased", "free"))
    host.table.update(msgspec.structs.replace(leased, process=this_process()))
    file = os.open(host.place.leases / "locked", os.O_RDWR)
    fcntl.flock(file, fcntl.LOCK_SH)
    with subprocess.Popen(["sleep", "600"], cwd=used.path) as user:
        stays = host.take_away(used, locked, leased, free)
        user.kill()
    os.close(file)
    assert host.trashed() == {"free"} and host.looks.count == 1
    assert stays["free"] is None and {one.id for one in host.table.records()} == {"used", "locked", "leased"}
    assert str(user.pid) in str(stays["used"]) and "lives" in str(stays["leased"]) and "lock" in str(stays["locked"])


def test_who_begins_in_one_after_the_look_began_is_refused_and_begins_elsewhere(host: Host) -> None:
    first, second = host.dead("first"), host.dead("second")
    refused: list[str] = []

    def meanwhile() -> None:
        for one in (first, second):
            assert not host.is_free(one.id), "another program cannot have the lease any more"
            with pytest.raises(LeaseHeld):
                host.table.update(msgspec.structs.replace(one, process=this_process()))
            refused.append(one.id)

    host.looks.meanwhile = meanwhile
    assert host.take_away(first, second) == {"first": None, "second": None}
    assert refused == ["first", "second"]


def test_a_lease_that_another_program_takes_while_the_locks_are_collected_wins(host: Host) -> None:
    """Between the keeper's decision and the lock of the last one others are had already."""
    first, second = host.dead("first"), host.dead("second")
    taken: list[int] = []
    real = host.table.try_exclusive

    def slowly(id: str):
        if id == "second":
            file = os.open(host.place.leases / id, os.O_RDWR)
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            taken.append(file)
        return real(id)

    host.table.try_exclusive = slowly
    stays = host.take_away(first, second)
    for file in taken:
        os.close(file)
    assert host.trashed() == {"first"} and stays["second"] is not None and Path(second.path).is_dir()


def test_no_lock_is_held_longer_than_its_own_workspace_needs(host: Host) -> None:
    used, first, second = host.dead("used"), host.dead("first"), host.dead("second")
    free: dict[str, bool] = {}

    def look(record: LeaseRecord) -> None:
        free[record.id] = host.is_free("used")
        if record.id == "second":
            assert not (host.place.leases / "first").exists(), "its lease ended with its rename"

    host.before_rename = look
    with subprocess.Popen(["sleep", "600"], cwd=used.path) as user:
        host.take_away(used, first, second)
        user.kill()
    assert free == {"first": True, "second": True}, "what is seen to stay is given free at once"


def test_what_cannot_be_written_down_or_moved_stays_alone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [host.dead(name) for name in ("a", "b", "c", "d")]
    real = DeletionJournal.begin

    def begin(self: DeletionJournal, deletion: Deletion, trash_name: str) -> None:
        if deletion.lease == "b":
            raise JournalUnusable("the deletion journal cannot be written")
        real(self, deletion, trash_name)

    def no_room(record: LeaseRecord) -> None:
        if record.id == "c":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(DeletionJournal, "begin", begin)
    host.before_rename = no_room
    stays = host.take_away(*records)
    assert host.trashed() == {"a", "d"} and {one.id for one in host.table.records()} == {"b", "c"}
    assert "not deleted" in str(stays["b"]) and "No space left" in str(stays["c"])
    assert {one.lease for one in host.journal.unheard()} == {"a", "d"}
    assert all(host.is_free(id) for id in ("b", "c"))


def test_a_look_that_fails_lets_nothing_go(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [host.dead(name) for name in ("a", "b")]

    async def blind(records, lock_files=None) -> Found:
        return {}

    monkeypatch.setattr(host.looks, "holds", blind)
    assert None not in host.take_away(*records).values() and host.trashed() == set()


def test_an_agent_that_ends_in_the_middle_finishes_the_rename_that_it_began_before_it_lets_go(host: Host) -> None:
    records = [host.dead(name) for name in ("a", "b")]
    began, go_on = asyncio.Event(), os.pipe()

    async def story() -> None:
        loop = asyncio.get_running_loop()

        def wait(record: LeaseRecord) -> None:
            loop.call_soon_threadsafe(began.set)
            os.read(go_on[0], 1)

        host.before_rename = wait
        going = tuple(ToGo(record=one, actor="agent:keeper", reason="its run is over") for one in records)
        work = asyncio.create_task(host.remover.take_away(going))
        await began.wait()
        work.cancel()
        await asyncio.wait({work}, timeout=0.05)
        held = not work.done() and not host.is_free("a")
        os.write(go_on[1], b"x")
        await asyncio.wait({work})
        assert held, "the lock is held until the rename is done"
        assert work.cancelled()

    asyncio.run(story())
    for end in go_on:
        os.close(end)
    assert host.trashed() == {"a"} and Path(records[1].path).is_dir()
