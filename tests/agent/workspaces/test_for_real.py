"""The keeper with real leases, processes and directories: from a job that is cut off to the trash, over restarts."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Container
from pathlib import Path

import pytest

from andon.agent.disk.history import History
from andon.agent.disk.journal import DeletionJournal, JournalUnusable
from andon.agent.leases.evidence import Evidence
from andon.agent.leases.place import open_place
from andon.agent.leases.table import LeaseTable
from andon.agent.leases.watching import LeaseWatch
from andon.agent.process_identity import boot_id, start_ticks
from andon.agent.workspaces.found import found_below
from andon.agent.workspaces.keeper import Keeper
from andon.agent.workspaces.kernel_view import KernelView
from andon.agent.workspaces.parts import Found, Made
from andon.agent.workspaces.removing import LeasedRemover
from andon.model.disk import Deletion
from andon.model.wire import JobWord, SyncAnswer
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import JobIdentity, JobProcess, LeaseRecord
from andon.runtime.clock import SystemClock, seconds_since_boot
from andon.runtime.logging import logger
from andon.runtime.loop import Nudge

JOB = JobIdentity(repository="acme/app", run_id=7, attempt=1, job="build", runner="andon-1")
LEAVES_ONE = """
import os, sys, subprocess
left = subprocess.Popen([sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
                        cwd=sys.argv[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
left.stdout.readline()
print(left.pid, flush=True)
sys.stdin.read()
"""


def a_job() -> "subprocess.Popen[bytes]":
    """Beside the event loop nothing waits for it."""
    return subprocess.Popen(["sleep", "600"])


class Directories:
    """The simplest that will do: a directory below `runs`, a rename into `trash`."""

    def __init__(self, root: Path) -> None:
        self.runs, self.trash = root / "runs", root / "trash"
        self.trash.mkdir(parents=True, exist_ok=True)

    def make(self, slot: int, claim: str | None, name: str, process: JobProcess) -> Made:
        path = self.runs / str(slot) / name
        path.mkdir(parents=True)
        facts = path.stat()
        return Made(path=path, device=facts.st_dev, inode=facts.st_ino)

    def found(self, known: Container[str]) -> tuple[Found, ...]:
        return tuple(found_below(self.runs, known))

    def is_there(self, record: LeaseRecord) -> bool:
        return Path(record.path).is_dir()

    def forget_note(self, name: str) -> None: ...

    def wanted(self, over: tuple[LeaseRecord, ...]) -> frozenset[str]:
        return frozenset()

    def size_of(self, record: LeaseRecord) -> int | None:
        return 512

    def is_unmeasured(self, record: LeaseRecord) -> bool:
        return False

    def measure_soon(self) -> None: ...

    def put_aside(self, record: LeaseRecord, new_name: str) -> str | None:
        Path(record.path).rename(self.trash / record.id)
        return None


class Host:
    """An agent's part that is tried here; `restart` is what SIGKILL and a new start leave."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.places = folder, Directories(folder)
        self._table: LeaseTable | None = None

    def _nonce(self) -> str:
        return os.urandom(5).hex()

    async def start(self) -> Keeper:
        clock, log, boot = SystemClock(), logger("agent"), boot_id()
        place = open_place(self.folder / "leases", any_filesystem=True)
        self._table = LeaseTable.open(place, boot, log, spares=4)
        self.journal = DeletionJournal(place.journal, History(self.folder / "history", log), log, records=8)
        await self._table.recover(clock)
        evidence = Evidence(clock, boot)
        watch = LeaseWatch(lambda: self.keeper.loop.nudge())
        self.watch = watch
        view = KernelView(self._table, evidence, watch, boot_id=boot, up_s=seconds_since_boot)
        self.keeper = Keeper(
            self._table,
            self.places,
            view,
            LeasedRemover(
                self._table,
                evidence,
                self.places.put_aside,
                self.journal,
                size_of=self.places.size_of,
                nonce=self._nonce,
                clock=clock,
            ),
            self.places,
            boot_id=boot,
            nonce=self._nonce,
            guard=lambda: "act",
            changed=Nudge(),
            clock=clock,
            log=log,
        )
        return self.keeper

    def end(self) -> None:
        self.watch.close()
        self.journal.close()
        if self._table is not None:
            self._table.close()

    async def restart(self) -> Keeper:
        self.end()
        return await self.start()

    def state(self) -> list[WorkspaceState]:
        assert self._table is not None
        return [record.state for record in self._table.records()]


Play = Callable[[Callable[["Host"], Awaitable[None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    def run(story: Callable[[Host], Awaitable[None]]) -> None:
        async def whole() -> None:
            host = Host(tmp_path)
            await host.start()
            try:
                await story(host)
            finally:
                host.end()

        asyncio.run(whole())

    return run


def a_job_that_leaves_a_process(place: Path) -> tuple["subprocess.Popen[str]", int]:
    job = subprocess.Popen(
        [sys.executable, "-c", LEAVES_ONE, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert job.stdout is not None
    return job, int(job.stdout.readline())


def process_of(pid: int) -> JobProcess:
    start = start_ticks(pid)
    assert start is not None
    return JobProcess(pid=pid, start=start, uid=os.getuid(), gid=os.getgid())


def said(runs: dict[str, str], jobs: dict[str, str]) -> SyncAnswer:
    return SyncAnswer(ack=1, runs=runs, jobs={name: JobWord(id=1, conclusion=word) for name, word in jobs.items()})


def test_what_a_cancelled_job_left_running_keeps_its_directory(
    play: Play,
) -> None:
    """P3: the old run still writes; its successor has another directory, and this one waits for its end."""

    async def story(host: Host) -> None:
        with a_job() as first:
            record = await host.keeper.begin(JOB, process_of(first.pid), 0, "clm_1")
            job, left = a_job_that_leaves_a_process(Path(record.path))
            await host.keeper.look()
            assert host.state() == [WorkspaceState.LEASED]
            first.kill()
            first.wait()
            await host.keeper.look()
            assert host.state() == [WorkspaceState.DRAINING]
            host.keeper.hear(said({"7": "completed"}, {record.id: "success"}))
            keeper = await host.restart()
            keeper.hear(said({"7": "completed"}, {record.id: "success"}))
            await keeper.look()
            assert host.state() == [WorkspaceState.DRAINING], "over a restart, too"
            assert any(str(left) in sentence for sentence in keeper.reports()[0].held_by), keeper.reports()[0].held_by
            assert host.places.is_there(record)
            os.kill(left, signal.SIGKILL)
            job.communicate()
            for _ in range(1000):
                await keeper.look()
                if not host.state():
                    break
            assert host.state() == [] and (host.places.trash / record.id).is_dir()

    play(story)


def test_an_agent_ended_between_rename_and_the_end_of_the_lease_loses_nothing(
    play: Play,
) -> None:
    async def story(host: Host) -> None:
        with a_job() as first:
            record = await host.keeper.begin(JOB, process_of(first.pid), 0, "clm_1")
            first.kill()
        host.keeper.hear(said({"7": "in_progress"}, {record.id: "success"}))
        await host.keeper.look()
        assert host.state() == [WorkspaceState.DEAD]
        assert host.places.put_aside(record, "gone") is None
        keeper = await host.restart()
        keeper.hear(said({"7": "completed"}, {}))
        await keeper.look()
        assert host.state() == [] and [each.name for each in host.places.trash.iterdir()] == [record.id]

    play(story)


def test_the_end_of_a_job_nudges(play: Play) -> None:
    async def story(host: Host) -> None:
        with a_job() as first:
            await host.keeper.begin(JOB, process_of(first.pid), 0, "clm_1")
            running = asyncio.create_task(host.keeper.loop.run())
            await host.keeper.loop.passes.wait_beyond(0)
            first.kill()
            first.wait()
            async with asyncio.timeout(10):
                while host.state() == [WorkspaceState.LEASED]:
                    await host.keeper.loop.passes.wait_beyond(host.keeper.loop.passes.version)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert host.state() == [WorkspaceState.DEAD]

    play(story)


def test_what_cannot_be_written_down_is_not_deleted(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(host: Host) -> None:
        with a_job() as first:
            record = await host.keeper.begin(JOB, process_of(first.pid), 0, "clm_1")
            first.kill()
        host.keeper.hear(said({"7": "completed"}, {record.id: "success"}))

        def full(self: DeletionJournal, deletion: Deletion, trash_name: str) -> None:
            raise JournalUnusable("the deletion journal cannot be written (No space left on device)")

        with monkeypatch.context() as patch:
            patch.setattr(DeletionJournal, "begin", full)
            for _ in range(3):
                await host.keeper.look()
        assert host.state() == [WorkspaceState.DEAD] and host.places.is_there(record)
        (report,) = host.keeper.reports()
        assert "what cannot be written down is not deleted" in report.held_by[0]
        await host.keeper.look()
        assert host.state() == []
        (told,) = host.journal.unheard()
        assert (told.lease, told.actor, told.bytes) == (record.id, "agent:keeper", 512)

    play(story)
