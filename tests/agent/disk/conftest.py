"""A host's part of the disk guard with real directories, leases as plain records, and a clock that the test moves."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from andon.agent.disk.history import History
from andon.agent.disk.journal import DeletionJournal
from andon.agent.layout import Root
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import JobIdentity, JobProcess, LeaseRecord
from andon.runtime.logging import logger


class Host:
    """Its root, its workspaces and its deletion journal."""

    def __init__(self, folder: Path) -> None:
        self.root = Root(path=folder / "host-a")
        self.root.make()
        self.records: dict[str, LeaseRecord] = {}
        self.history = History(self.root.deletions, logger("agent"))
        self.journal = DeletionJournal(folder / "journal", self.history, logger("agent"), records=64)

    def workspace(
        self,
        run: int,
        state: WorkspaceState = WorkspaceState.LEASED,
        *,
        size: int = 4096,
        process: JobProcess | None = None,
        slot: int = 0,
    ) -> LeaseRecord:
        """One with a file of `size` bytes in its target directory."""
        name = f"{run}-1-build-0123456789"
        path = self.root.runs / str(slot) / name
        (path / "target" / "debug").mkdir(parents=True)
        (path / "tmp").mkdir()
        (path / "target" / "debug" / "out").write_bytes(os.urandom(size))
        found = path.stat()
        record = LeaseRecord(
            id=name,
            state=state,
            path=str(path),
            device=found.st_dev,
            inode=found.st_ino,
            slot=slot,
            claim=None,
            job=JobIdentity(
                repository="acme/app", run_id=run, attempt=1, job="build", runner="r", tracking=f"github_{run}"
            ),
            boot_id="boot",
            process=process,
            made_at=datetime(2026, 11, 22, tzinfo=UTC),
            dead_up_s=float(run),
        )
        self.records[name] = record
        return record

    def change(self, record: LeaseRecord, **changes: object) -> LeaseRecord:
        self.records[record.id] = msgspec.structs.replace(record, **changes)
        return self.records[record.id]

    def all(self) -> tuple[LeaseRecord, ...]:
        return tuple(self.records.values())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.journal.close()
