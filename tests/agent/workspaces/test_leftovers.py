"""Which folders are healed at a job's start, for whom, and when they are left alone (R57)."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from andon.agent.disk.history import History
from andon.agent.disk.journal import DeletionJournal, JournalUnusable
from andon.agent.disk.removals import Removals
from andon.agent.process_identity import boot_id, start_ticks
from andon.agent.workspaces.for_hooks import WorkspacesForHooks
from andon.agent.workspaces.leftovers import Leftovers
from andon.agent.workspaces.parts import CannotBegin
from andon.agent.workspaces.work_trash import TRASH
from andon.model.config import Workspace
from andon.model.disk import Deletion
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import JobIdentity, JobProcess, LeaseRecord
from andon.runtime.clock import SystemClock
from andon.runtime.logging import logger
from tests.support.as_nobody import NOBODY
from tests.support.runner_folders import wait_until

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="NOT TESTED: healing what another user left needs root; run these as root"
)
JOB = JobIdentity(repository="acme/app", run_id=7, attempt=1, job="build", runner="old-1")
SITS = "import os, sys; os.chdir(sys.argv[1]); print('up', flush=True); sys.stdin.read()"


class Stage:
    """Two adopted runners with a work folder each, and a job that waits for its hook in the first."""

    def __init__(self, base: Path) -> None:
        self.base, self.trash = base, base / "trash"
        self.trash.mkdir(mode=0o700)
        log = logger("test")
        self.journal = DeletionJournal(base / "journal", History(base / "history", log), log, records=16)
        self.works = {1000: base / "one" / "_work", 1001: base / "two" / "_work"}
        for work in self.works.values():
            for folder in (work / "app" / "app", work / "other", work / "_temp"):
                folder.mkdir(parents=True)
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", base / "one", base / "two"], check=True)
        for work in self.works.values():
            for folder in (work / "app" / "app", work / "other", work / "_temp", work / "_tool"):
                (folder / "left" / "deep").mkdir(parents=True)
        self.checkout = self.works[1000] / "app" / "app"
        self.running: list[subprocess.Popen[bytes]] = []
        self.worker = self.sit("/")
        self.records: list[LeaseRecord] = []
        self.guard = "act"

    def sit(self, folder: Path | str) -> JobProcess:
        """A process that works in `folder`."""
        words = [sys.executable, "-I", "-S", "-c", SITS, str(folder)]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        self.running.append(process)
        start = start_ticks(process.pid)
        assert start is not None
        return JobProcess(pid=process.pid, start=start, uid=NOBODY, gid=NOBODY)

    def heal(
        self, *, job: JobIdentity = JOB, process: JobProcess | None = None, claim: str | None = None
    ) -> tuple[str, ...]:
        leftovers = Leftovers(
            lambda: self.works,
            lambda slot, claim: self.base / str(slot) / claim,
            lambda: self.records,
            trash=self.trash,
            intend=Removals(self.journal, nonce=lambda: os.urandom(5).hex(), clock=SystemClock()).of_leftover,
            may_put_aside=lambda: self.guard == "act",
            nonce=lambda: "abcdefghjk",
            clock=SystemClock(),
            log=logger("test"),
        )
        self.leftovers = leftovers
        try:
            return asyncio.run(leftovers.heal(job, process or self.worker, 1000, claim))
        finally:
            leftovers.close()

    def given(self) -> set[str]:
        """Which of the leftovers are the user's now."""
        found = (each for work in self.works.values() for each in work.glob("**/left"))
        return {str(each.relative_to(self.base)) for each in found if each.stat().st_uid == NOBODY}

    def close(self) -> None:
        self.journal.close()
        for process in self.running:
            process.communicate(b"")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    one = Stage(tmp_path)
    yield one
    one.close()


MINE = {"one/_work/app/app/left", "one/_work/_temp/left"}


def test_only_the_job_s_repository_and_the_temporary_folder_are_healed(stage: Stage) -> None:
    assert stage.heal() == (
        "2 files and folders that others left in app were given to this user (app/left)",
        "2 files and folders that others left in _temp were given to this user (left)",
    )
    assert stage.given() == MINE
    assert stage.heal() == (), "a second time there is nothing to say"


@pytest.mark.parametrize("name", ["_tool", "_temp", "missing"])
def test_a_repository_called_like_a_folder_of_the_runner_s_is_none(stage: Stage, name: str) -> None:
    stage.heal(job=msgspec.structs.replace(JOB, repository=f"acme/{name}"))
    assert stage.given() == {"one/_work/_temp/left"}


def test_a_work_folder_that_is_a_link_is_refused(stage: Stage) -> None:
    stage.works[1000].rename(stage.base / "elsewhere")
    stage.works[1000].symlink_to(stage.works[1001])
    (said,) = stage.heal()
    assert "a link stands in its place" in said and stage.given() == set()


def test_a_link_above_the_work_folder_is_refused(stage: Stage) -> None:
    (stage.base / "one").rename(stage.base / "elsewhere")
    (stage.base / "one").symlink_to(stage.base / "two")
    (said,) = stage.heal()
    assert "a link stands in its place" in said and stage.given() == set()


def test_a_repository_s_folder_that_is_a_link_is_refused(stage: Stage) -> None:
    app = stage.works[1000] / "app"
    app.rename(stage.base / "elsewhere")
    app.symlink_to(stage.works[1001] / "app")
    said = stage.heal()
    assert "a link stands in its place" in said[0] and stage.given() == {"one/_work/_temp/left"}


def test_a_work_folder_of_another_user_s_is_left_alone(stage: Stage) -> None:
    """A `.runner` may name any folder as the work folder: `/` among them, with a repository called `etc`."""
    os.chown(stage.works[1000], 0, 0)
    (said,) = stage.heal()
    assert "belongs to another user" in said and stage.given() == set()


def test_while_a_process_of_another_job_works_in_it_nothing_is_done(stage: Stage) -> None:
    stage.sit(stage.checkout / "left")
    said = stage.heal()
    assert "stays as it is: The process" in said[0] and "works in it" in said[0]
    assert stage.given() == {"one/_work/_temp/left"}


def test_the_job_s_own_processes_hold_nothing_back(stage: Stage) -> None:
    """The runner calls its hook in the checkout."""
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', {SITS!r}, sys.argv[1]])"
    words = [sys.executable, "-I", "-S", "-c", inner, str(stage.checkout)]
    outer = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
    stage.running.append(outer)
    assert outer.stdout is not None and outer.stdout.readline() == b"up\n"
    start = start_ticks(outer.pid)
    assert start is not None
    stage.heal(process=JobProcess(pid=outer.pid, start=start, uid=NOBODY, gid=NOBODY))
    assert stage.given() == MINE


def another(stage: Stage, process: JobProcess, slot: int) -> LeaseRecord:
    now = SystemClock().now()
    return LeaseRecord(
        id="8-1-build-x",
        state=WorkspaceState.LEASED,
        path="/nowhere",
        device=1,
        inode=1,
        slot=slot,
        claim=None,
        job=JOB,
        boot_id=boot_id(),
        process=process,
        made_at=now,
        taken_at=now,
        made_up_s=1.0,
    )


def test_while_another_job_has_the_same_work_folder_nothing_is_done(stage: Stage) -> None:
    stage.works[1001] = stage.works[1000]
    stage.records = [another(stage, stage.sit("/"), 1001), another(stage, stage.worker, 1000)]
    assert "another job (8-1-build-x) runs in the same work folder" in stage.heal()[0]
    assert stage.given() == set()
    stage.running.pop().communicate(b"")
    stage.heal()
    assert stage.given() == MINE, "and once it is over"


def test_what_cannot_be_given_goes_to_the_agent_s_trash_and_is_said(stage: Stage) -> None:
    (stage.checkout / "private\n\udcff").touch(mode=0o600)
    said = stage.heal()
    assert said[1] == "1 that could not be given were put aside from app (app/private?\\xff)"
    assert [each.name for each in stage.trash.iterdir()] == ["left.abcdefghjk.1"]
    (line,) = stage.journal.unheard()
    assert line.path == f"{stage.checkout}/private\n\\xff" and line.actor == "agent:healer"
    assert stage.leftovers.trashes() == ()


def test_what_cannot_be_written_down_stays(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    (stage.checkout / "private").touch(mode=0o600)

    def full(self: DeletionJournal, deletion: Deletion, trash_name: str) -> None:
        raise JournalUnusable(28, "No space left on device")

    monkeypatch.setattr(DeletionJournal, "begin", full)
    assert "1 leftovers stay in app, as app/private" in stage.heal()[1]
    assert list(stage.trash.iterdir()) == []


def test_while_the_guard_only_observes_nothing_is_put_aside(stage: Stage) -> None:
    (stage.checkout / "private").touch(mode=0o600)
    stage.guard = "observe"
    assert "1 leftovers stay in app, as app/private" in stage.heal()[1]
    assert list(stage.trash.iterdir()) == [] and stage.given() == MINE


@pytest.fixture
def far(stage: Stage) -> Iterator[None]:
    """The agent's trash on another filesystem than the work folder."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == stage.base.stat().st_dev:
        pytest.skip("NOT TESTED: no second filesystem (/dev/shm)")
    with TemporaryDirectory(dir=shared, prefix="andon-") as folder:
        stage.trash = Path(folder)
        yield


def test_on_another_filesystem_the_work_folder_gets_a_trash(stage: Stage, far: None) -> None:
    for name in ("one", "two"):
        (stage.checkout / name).touch(mode=0o600)
    stage.heal()
    trash = stage.works[1000] / TRASH
    assert stage.leftovers.trashes() == (trash,) and len(list(trash.iterdir())) == 2
    assert (trash.stat().st_uid, trash.stat().st_mode & 0o777) == (0, 0o700)


def test_a_trash_that_the_job_put_there_itself_is_not_used(stage: Stage, far: None) -> None:
    trash = stage.works[1000] / TRASH
    trash.mkdir()
    os.chown(trash, NOBODY, NOBODY)
    (stage.checkout / "private").touch(mode=0o600)
    assert any("leftovers stay" in each for each in stage.heal())
    assert stage.leftovers.trashes() == () and list(trash.iterdir()) == []


def test_a_claim_s_runner_has_its_own_work_folder(stage: Stage) -> None:
    (stage.base / "1000").mkdir()
    (stage.base / "1000" / "c1").symlink_to("../one")
    assert "a link stands in its place" in stage.heal(claim="c1")[0] and stage.given() == set()
    (stage.base / "1000" / "c1").unlink()
    stage.works[1000].rename(stage.base / "1000" / "c1")
    stage.heal(claim="c1")
    assert (stage.base / "1000" / "c1" / "app" / "app" / "left").stat().st_uid == NOBODY


def test_a_disk_that_does_not_answer_holds_no_hook(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    told: list[bool] = []

    def hangs(*_: object, go_on: Callable[[], bool], **__: object) -> None:
        over.wait()
        told.append(go_on())
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("andon.agent.workspaces.leftovers.heal", hangs)
    # Given up long before the time is up, as where the hook has gone.
    monkeypatch.setattr("andon.agent.workspaces.leftovers.HEAL_S", 60.0)
    monkeypatch.setattr("andon.agent.workspaces.leftovers.GRACE_S", -59.99)
    try:
        assert stage.heal() == ("there was no time to look for what earlier jobs left behind",)
    finally:
        over.set()
    wait_until(lambda: len(told) == 2, "it has ended")
    assert told == [False, False], "and does nothing more beside the job"


def test_an_agent_without_rights_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.agent.workspaces.leftovers.os.geteuid", lambda: NOBODY)
    assert "the agent is not root and cannot give them back" in stage.heal()[0] and stage.given() == set()


def test_a_slot_of_root_s_needs_nothing(stage: Stage) -> None:
    assert stage.heal(process=msgspec.structs.replace(stage.worker, uid=0, gid=0)) == () and stage.given() == set()


class Keeps:
    """In the keeper's place: gives a process one workspace, or none at all."""

    def __init__(self, stage: Stage, *, full: bool = False) -> None:
        self.stage, self.full = stage, full
        self.given: set[JobProcess] = set()

    def knows(self, process: JobProcess) -> bool:
        return process in self.given

    async def begin(self, job: JobIdentity, process: JobProcess, slot: int, claim: str | None) -> LeaseRecord:
        if self.full:
            raise CannotBegin("No workspace could be made on this host (No space left on device).")
        self.given.add(process)
        return another(self.stage, process, slot)


class Heals:
    def __init__(self) -> None:
        self.asked = 0

    async def heal(self, *_: object) -> tuple[str, ...]:
        self.asked += 1
        return ("3 were put aside",)


def test_a_job_s_folders_are_healed_once_and_its_log_says_so(stage: Stage) -> None:
    heals = Heals()
    hooks = WorkspacesForHooks(Keeps(stage), heals, "host-a", lambda slot: Workspace())  # type: ignore[arg-type]
    first = asyncio.run(hooks.begin(JOB, stage.worker, 1000, None))
    again = asyncio.run(hooks.begin(JOB, stage.worker, 1000, None))
    assert (first.notices, again.notices, heals.asked) == (("3 were put aside",), (), 1)


def test_a_job_without_a_workspace_has_a_checkout_all_the_same(stage: Stage) -> None:
    heals = Heals()
    hooks = WorkspacesForHooks(Keeps(stage, full=True), heals, "host-a", lambda slot: Workspace())  # type: ignore[arg-type]
    with pytest.raises(CannotBegin):
        asyncio.run(hooks.begin(JOB, stage.worker, 1000, None))
    assert heals.asked == 1
