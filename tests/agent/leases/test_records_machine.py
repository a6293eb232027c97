"""Ended at any byte of any write and at any step, the next agent finds each lease as it was or as it became."""

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from andon.agent.leases import records as records_module
from andon.agent.leases.place import open_place
from andon.agent.leases.table import LeaseTable
from andon.agent.process_identity import boot_id
from andon.model.workspaces import JobIdentity, LeaseRecord
from andon.runtime.clock import SystemClock
from andon.runtime.logging import logger

IDS = st.sampled_from(["a", "b", "c"])
BOOT = boot_id()


class Ended(BaseException):
    """SIGKILL, at this place."""


def record_of(id: str, slot: int, ref: str) -> LeaseRecord:
    job = JobIdentity(repository="o/r", run_id=7, attempt=1, job="build", runner="r", ref=ref)
    fields = {"id": id, "state": "leased", "path": f"/r/{id}", "device": 1, "inode": 2, "slot": slot, "claim": None}
    more = {"job": job, "boot_id": BOOT, "process": None, "made_at": "2026-01-01T00:00:00Z"}
    return msgspec.convert(fields | more, LeaseRecord)


class Leases(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="andon-test-"))
        self.place = open_place(self.folder / "place", any_filesystem=True)
        self.known: dict[str, tuple[LeaseRecord | None, ...]] = {}
        """What each lease may be: one thing, or two after an end in the middle."""
        self.slot = 0

    @initialize()
    def start(self) -> None:
        self.table = LeaseTable.open(self.place, BOOT, logger("test"), spares=2)
        asyncio.run(self.table.recover(SystemClock()))
        found = {record.id: record for record in self.table.records()}
        assert not self.table.suspects() and found.keys() <= self.known.keys()
        for id, choices in self.known.items():
            assert found.get(id) in choices, (id, found.get(id), choices)
        self.known = {id: (record,) for id, record in found.items()}

    @rule()
    def restart(self) -> None:
        self.table.close()
        self.start()

    def ended_at(self, byte: int, call) -> None:
        whole = os.pwrite

        def torn(file: int, data: bytes, at: int) -> int:
            whole(file, data[:byte], at)
            raise Ended

        records_module.os.pwrite = torn  # type: ignore[assignment]
        try:
            call()
        except Ended:
            pass
        finally:
            records_module.os.pwrite = whole
        self.restart()

    @rule(id=IDS, ref=st.text(max_size=5000))
    def write(self, id: str, ref: str) -> None:
        self.slot += 1
        record = record_of(id, self.slot, ref)
        if id in self.known:
            self.table.update(record)
        else:
            self.table.take(record)
        self.restart_model(id, record)

    def restart_model(self, id: str, record: LeaseRecord) -> None:
        kept, _ = records_module.decode((self.place.leases / id).read_bytes())
        # Long texts may be cut in the file; nothing else.
        assert msgspec.structs.replace(kept, job=record.job) == record
        self.known[id] = (record, kept)

    @rule(id=IDS, byte=st.integers(0, 4096))
    def write_and_end(self, id: str, byte: int) -> None:
        self.slot += 1
        record = record_of(id, self.slot, "refs/heads/main")
        before = self.known.get(id, (None,))
        self.known[id] = (*before, record)
        self.ended_at(byte, lambda: self.table.update(record) if before != (None,) else self.table.take(record))

    @rule(id=IDS)
    def drop(self, id: str) -> None:
        if id in self.known:
            with self.table.try_exclusive(id):
                self.table.drop(id)
            del self.known[id]

    @invariant()
    def holds_what_it_says(self) -> None:
        for record in self.table.records():
            assert record in self.known[record.id]

    def teardown(self) -> None:
        self.table.close()
        shutil.rmtree(self.folder)


TestLeases = Leases.TestCase
TestLeases.settings = settings(stateful_step_count=20)
