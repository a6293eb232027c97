"""A place for leases, records to put into it, and processes to hang them on."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from andon.agent.leases.place import LeasePlace, open_place
from andon.agent.process_identity import boot_id, start_ticks
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import JobIdentity, JobProcess, LeaseRecord

MakeRecord = Callable[..., LeaseRecord]
Sleeper = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def tmpfs() -> Iterator[Path]:
    """A folder on tmpfs; a loud skip where there is none."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        pytest.skip("kernel: no /dev/shm to write to")
    folder = Path(tempfile.mkdtemp(dir=shared, prefix="andon-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def lease_place(tmpfs: Path) -> LeasePlace:
    return open_place(tmpfs / "of-this-root")


@pytest.fixture
def make_record(tmp_path: Path) -> MakeRecord:
    """`make_record("id", pid=..., ...)`: a record of a directory that is really there."""

    def make(id: str, *, pid: int | None = None, cgroup: str | None = None, **more: object) -> LeaseRecord:
        folder = Path(str(more.pop("path", tmp_path / "runs" / id)))
        folder.mkdir(parents=True, exist_ok=True)
        found = folder.stat()
        process = None
        if pid is not None:
            start = start_ticks(pid)
            assert start is not None
            process = JobProcess(pid=pid, start=start, uid=os.getuid(), gid=os.getgid(), cgroup=cgroup)
        job = JobIdentity(repository="o/r", run_id=7, attempt=1, job="build", runner="r", tracking=f"github_{id}")
        fields: dict[str, object] = {
            "state": WorkspaceState.LEASED,
            "path": str(folder),
            "device": found.st_dev,
            "inode": found.st_ino,
            "slot": 0,
            "claim": "clm",
            "job": job,
            "boot_id": boot_id(),
            "process": process,
            "made_at": datetime(2026, 1, 1, tzinfo=UTC),
        }
        return LeaseRecord(id=id, **(fields | more))  # type: ignore[arg-type]

    return make


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """`sleeper(cwd=...)`: a process that stays until the test is over."""
    made: list[subprocess.Popen[bytes]] = []

    def make(*command: str, **more: object) -> subprocess.Popen[bytes]:
        made.append(subprocess.Popen(command or ("sleep", "1000"), **more))  # type: ignore[call-overload]
        return made[-1]

    yield make
    for each in made:
        each.kill()
        each.wait()
        for pipe in (each.stdin, each.stdout):
            if pipe is not None:
                pipe.close()
