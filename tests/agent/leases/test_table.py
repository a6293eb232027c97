"""The table under everything that may go wrong around it: other programs, a restart, broken files."""

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from andon.agent.leases.place import LeasePlace
from andon.agent.leases.records import decode
from andon.agent.leases.table import LeaseHeld, LeaseTable, Recovered
from andon.agent.process_identity import boot_id
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import Holder
from andon.runtime.clock import SystemClock
from andon.runtime.errors import AndonError
from andon.runtime.logging import logger

OpenTable = Callable[..., LeaseTable]


@pytest.fixture
def open_table(lease_place: LeasePlace) -> Iterator[OpenTable]:
    made: list[LeaseTable] = []

    def make(boot: str = "", spares: int = 4) -> LeaseTable:
        made.append(LeaseTable.open(lease_place, boot or boot_id(), logger("test"), spares=spares))
        return made[-1]

    yield make
    for table in made:
        table.close()


def free(path: Path, how: int = fcntl.LOCK_EX) -> bool:
    """Whether another program could have the lock now."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextmanager
def another_program(path: Path, how: str):
    """A process that holds the lock."""
    program = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, getattr(fcntl, sys.argv[2])); "
        "print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        yield process
        process.communicate()


def recovered(table: LeaseTable) -> Recovered:
    return asyncio.run(table.recover(SystemClock()))


def test_a_lease_is_locked_from_before_it_is_seen_until_it_is_dropped(open_table, lease_place, make_record):
    table = open_table()
    table.take(make_record("one"))
    path = lease_place.leases / "one"
    assert not free(path) and free(path, fcntl.LOCK_SH)
    assert not os.get_inheritable(table._leases["one"].file)
    newer = msgspec.structs.replace(make_record("one"), state=WorkspaceState.DRAINING)
    table.update(newer)
    assert table.records() == (newer,) and decode(path.read_bytes())[0] == newer
    with pytest.raises(AndonError, match="only by who has it alone"):
        table.drop("one")
    with table.try_exclusive("one"):
        assert not free(path, fcntl.LOCK_SH)
        with pytest.raises(LeaseHeld, match="agent itself"), table.try_exclusive("one"):
            pass
        table.drop("one")
    assert not path.exists() and table.records() == () and len(list(lease_place.spare.iterdir())) == 4


def test_a_lease_tried_and_not_dropped_is_held_again(open_table, lease_place, make_record):
    table = open_table()
    table.take(make_record("one"))
    with table.try_exclusive("one"):
        pass
    assert not free(lease_place.leases / "one") and table.upkeep().unlocked == frozenset()
    with pytest.raises(ZeroDivisionError), table.try_exclusive("one"):
        _ = 1 // 0
    assert not free(lease_place.leases / "one")


def test_a_living_job_keeps_its_lock_whoever_asks(open_table, lease_place, make_record, sleeper):
    table = open_table()
    job = sleeper()
    table.take(make_record("one", pid=job.pid))
    held = table._leases["one"].file
    before = fcntl.flock
    tried: list[int] = []
    try:
        fcntl.flock = lambda file, how: (tried.append(file), before(file, how))[1]  # type: ignore[assignment]
        with pytest.raises(LeaseHeld, match="lives") as refused, table.try_exclusive("one"):
            pass
    finally:
        fcntl.flock = before
    # Its shared lock was not let go even for a moment: the kernel was not asked.
    assert held not in tried and refused.value.hold.by is Holder.PROCESS and refused.value.hold.pid == job.pid
    job.kill()
    job.wait()
    with table.try_exclusive("one"):
        table.drop("one")


def test_another_programs_shared_lock_is_honoured_and_named(open_table, lease_place, make_record):
    table = open_table()
    table.take(make_record("one"))
    path = lease_place.leases / "one"
    with another_program(path, "LOCK_SH") as process:
        with pytest.raises(LeaseHeld) as refused, table.try_exclusive("one"):
            pass
        assert refused.value.hold.by is Holder.LOCK and refused.value.hold.pid == process.pid
        assert not free(path)
    # The refusal cost the shared lock for a moment; it is there again.
    assert not free(path) and table.upkeep().unlocked == frozenset()
    with table.try_exclusive("one"):
        table.drop("one")


def test_a_process_never_begins_where_another_program_may_be_removing(open_table, lease_place, make_record, sleeper):
    table = open_table()
    record = make_record("one")
    table.take(record)
    begun = make_record("one", pid=sleeper().pid)
    path = lease_place.leases / "one"
    with table.try_exclusive("one"), pytest.raises(LeaseHeld, match="agent itself"):
        table.update(begun)
    fcntl.flock(table._leases["one"].file, fcntl.LOCK_UN)
    with another_program(path, "LOCK_EX"):
        table._leases["one"].locked = False
        assert table.upkeep().unlocked == {"one"}
        with pytest.raises(LeaseHeld):
            table.update(begun)
        table.update(msgspec.structs.replace(record, slot=3))
        path.unlink()
    with pytest.raises(LeaseHeld, match="ended the lease"):
        table.update(begun)
    assert table.records() == ()


def test_a_lease_that_another_program_ended_is_forgotten_not_locked_for_ever(open_table, lease_place, make_record):
    table = open_table()
    table.take(make_record("one"))
    lease = table._leases["one"]
    fcntl.flock(lease.file, fcntl.LOCK_UN)
    with another_program(lease_place.leases / "one", "LOCK_EX"):
        lease.locked = False
        assert table.upkeep().removed == frozenset()
        # What it does under its lock: the name goes, and a stranger's file comes under it.
        (lease_place.leases / "one").unlink()
        (lease_place.leases / "one").write_text("")
    assert table.upkeep().removed == {"one"}
    assert (lease_place.leases / "one").exists()


def test_a_restart_finds_everything_and_locks_it(open_table, lease_place, make_record, sleeper):
    job, gone = sleeper(), sleeper()
    first = open_table()
    records = [make_record("live", pid=job.pid), make_record("over", pid=gone.pid), make_record("fresh")]
    for record in records:
        first.take(record)
    gone.kill()
    gone.wait()
    first.close()
    assert free(lease_place.leases / "live")
    second = open_table()
    found = recovered(second)
    assert sorted(found.records, key=lambda each: each.id) == sorted(records, key=lambda each: each.id)
    assert (found.ended, found.suspects, found.unlocked) == ({"over", "fresh"}, (), frozenset())
    assert not any(free(path) for path in lease_place.leases.iterdir())
    # The next write goes on where the last one was.
    second.update(msgspec.structs.replace(records[0], slot=9))
    assert decode((lease_place.leases / "live").read_bytes())[0].slot == 9


def test_records_of_another_boot_have_no_process(open_table, make_record, sleeper):
    first = open_table()
    first.take(make_record("one", pid=sleeper().pid))
    first.close()
    second = open_table(boot="the-next-boot")
    found = recovered(second)
    assert [record.process for record in found.records] == [None] and found.ended == {"one"}
    with second.try_exclusive("one"):
        second.drop("one")


def test_a_pid_that_is_used_again_is_another_process(open_table, make_record, sleeper):
    record = make_record("one", pid=sleeper().pid)
    assert record.process is not None
    earlier = msgspec.structs.replace(record.process, start=record.process.start - 1)
    first = open_table()
    first.take(msgspec.structs.replace(record, process=earlier))
    first.close()
    second = open_table()
    assert recovered(second).ended == {"one"}
    with second.try_exclusive("one"):
        pass


def test_broken_files_are_suspect_and_stay(open_table, lease_place, make_record):
    first = open_table()
    first.take(make_record("one"))
    first.take(make_record("two"))
    first.close()
    (lease_place.leases / "junk").write_bytes(b"\0" * 100)
    (lease_place.leases / "twin").write_bytes((lease_place.leases / "one").read_bytes())
    with (lease_place.leases / "two").open("r+b") as file:
        file.write(b"x" * 8192)
    (lease_place.leases / "folder").mkdir()
    (lease_place.leases / "a\nname").write_text("")
    (lease_place.leases / "link").symlink_to("one")
    os.mkfifo(lease_place.leases / "pipe")
    second = open_table()
    found = recovered(second)
    reasons = {each.id: each.reason for each in found.suspects}
    assert reasons.keys() == {"junk", "twin", "two", "pipe"} and [each.id for each in found.records] == ["one"]
    assert "neither half" in reasons["two"] and "another lease, 'one'" in reasons["twin"]
    assert not free(lease_place.leases / "two")
    # A rule that has looked for use may end it, and nobody else does.
    with second.try_exclusive("two"):
        second.drop("two")
    assert not (lease_place.leases / "two").exists() and (lease_place.leases / "junk").exists()


def test_a_lock_that_another_program_has_at_the_start_is_had_later(open_table, lease_place, make_record):
    first = open_table()
    first.take(make_record("one"))
    first.close()
    second = open_table()
    with another_program(lease_place.leases / "one", "LOCK_EX"):
        found = recovered(second)
        assert found.unlocked == {"one"} and [each.id for each in found.records] == ["one"]
    assert second.upkeep().unlocked == frozenset() and not free(lease_place.leases / "one")


def test_names_and_twins_are_refused(open_table, make_record):
    table = open_table()
    table.take(make_record("one"))
    with pytest.raises(AndonError, match="exists already"):
        table.take(make_record("one"))
    for id in ("../../etc", "", ".hidden", "a/b", "a\n", "x" * 300):
        with pytest.raises(AndonError, match="no name for a lease"):
            table.take(msgspec.structs.replace(make_record("one"), id=id))


def test_spares_outlive_an_agent_and_are_made_whole(open_table, lease_place, make_record):
    open_table(spares=6).close()
    assert len(list(lease_place.spare.iterdir())) == 6
    (lease_place.spare / "spare-1").write_bytes(b"")
    (lease_place.spare / "spare-2").unlink()
    table = open_table(spares=6)
    assert {path.stat().st_size for path in lease_place.spare.iterdir()} == {8192}
    # Somebody cleans up while we live.
    for path in list(lease_place.spare.iterdir())[:3]:
        path.unlink()
    for number in range(8):
        table.take(make_record(f"lease-{number}"))
    assert len(table.records()) == 8 and not table.upkeep().short


def test_files_that_somebody_deletes_come_back(open_table, lease_place, make_record):
    """A cleaner of old files, or a person: the next agent must still find every lease."""
    table = open_table()
    for id in ("one", "two"):
        table.take(make_record(id))
    shutil.rmtree(lease_place.leases)
    shutil.rmtree(lease_place.spare)
    found = table.upkeep()
    assert found.restored == {"one", "two"} and not found.removed and not found.short
    assert not free(lease_place.leases / "one") and table.upkeep().restored == frozenset()
    table.close()
    again = open_table()
    assert {record.id for record in recovered(again).records} == {"one", "two"}
