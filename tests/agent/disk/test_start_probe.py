"""A start is tried for real: what is used up or closed fails it, and nothing is left behind (R43)."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from andon.agent.adoption.slots import AdoptedSlot
from andon.agent.cgroups import cgroup_base
from andon.agent.installed_programs import install_programs
from andon.agent.launch import Launcher
from andon.agent.layout import Root
from andon.agent.process_identity import boot_id
from andon.agent.slot_table import Slot
from andon.agent.start_probe import FOLDER, Failed, clear_left, try_adopted, try_start
from andon.runtime.clock import SystemClock
from andon.sim.stage.loop_filesystem import fill, give_back
from tests.support.as_nobody import NOBODY
from tests.support.loop_filesystems import loop_filesystem

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: mounts, cgroups and users need root")
Until = Callable[[Callable[[], object], str], None]
SLOT = Slot(number=3, pool="p", command=("/bin/true",))
PIDS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))


def launcher_at(folder: Path, *, interpreter: Path = Path(sys.executable), cgroups: bool = False) -> Launcher:
    root = Root(path=folder)
    root.make()
    programs = install_programs(root, interpreter)
    base = cgroup_base(root) if cgroups else None
    return Launcher(host="h", root=root, programs=programs, boot_id=boot_id(), cgroup_base=base, environ={})


def attempt(launcher: Launcher, slot: Slot = SLOT, *, limit_s: float = 20.0) -> Failed | None:
    return asyncio.run(try_start(launcher, slot, clock=SystemClock(), limit_s=limit_s))


def left(launcher: Launcher) -> list[str]:
    return [str(path.relative_to(launcher.root.slots)) for path in launcher.root.slots.rglob("*")]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Which every slot's user may enter."""
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o755)
    yield tmp_path / "root"


def test_where_nothing_is_wrong_it_passes_and_leaves_nothing(folder: Path) -> None:
    launcher = launcher_at(folder)
    assert attempt(launcher) is None
    assert left(launcher) == ["3"]


@needs_root
def test_it_is_the_slot_s_user_who_writes(folder: Path) -> None:
    launcher = launcher_at(folder)
    nobody = Slot(number=3, pool="p", command=("/bin/true",), user="nobody")
    assert attempt(launcher, nobody) is None
    folder.chmod(0o700)
    failed = attempt(launcher, nobody)
    assert failed is not None and "entering the slot's folder" in failed.reason and "user in" in failed.reason
    assert attempt(launcher) is None, "its own user may"
    assert left(launcher) == ["3"]


def test_a_user_that_is_not_there(folder: Path) -> None:
    failed = attempt(launcher_at(folder), Slot(number=3, pool="p", command=("x",), user="nobody-of-that-name"))
    assert failed is not None and "no user" in failed.reason


@needs_root
def test_no_inode_left(folder: Path) -> None:
    with loop_filesystem("ext4", 32, "-N", "128") as point:
        launcher = launcher_at(point / "root")
        (launcher.root.slots / "3").mkdir()
        used = []
        for number in range(1000):
            try:
                (point / f"inode-{number}").touch()
            except OSError:
                break
            used.append(point / f"inode-{number}")
        failed = attempt(launcher)
        assert failed is not None and failed.no_room
        assert "making a directory failed" in failed.reason and "No space left" in failed.reason
        used[0].unlink()
        # Room for the try's own folder, and not for the file in it.
        failed = attempt(launcher)
        assert failed is not None and failed.no_room and "writing a file failed" in failed.reason
        used[1].unlink()
        failed = attempt(launcher)
        assert failed is not None and failed.no_room and "making a directory failed" in failed.reason
        used[2].unlink()
        assert attempt(launcher) is None and left(launcher) == ["3"]


@needs_root
def test_no_byte_left(folder: Path) -> None:
    with loop_filesystem("ext4", 32) as point:
        launcher = launcher_at(point / "root")
        (launcher.root.slots / "3").mkdir()
        fill(point)
        failed = attempt(launcher)
        assert failed is not None and failed.no_room and "No space left" in failed.reason
        (point / "filler").unlink()
        assert attempt(launcher) is None and left(launcher) == ["3"]


@needs_root
def test_a_read_only_mount(folder: Path) -> None:
    launcher = launcher_at(folder)
    slot = launcher.root.slots / "3"
    slot.mkdir()
    if subprocess.run(["mount", "--bind", slot, slot], check=False).returncode:
        pytest.skip("kernel: nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", slot], check=True)
        failed = attempt(launcher)
        assert failed is not None and "Read-only" in failed.reason and "writable" in failed.reason
    finally:
        subprocess.run(["umount", slot], check=True)
    assert attempt(launcher) is None


@pytest.fixture
def pids_cgroup() -> Iterator[Path]:
    """A cgroup whose number of processes can be limited, version 1 or 2."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: cgroups need root")
    for top in PIDS:
        one = top / "andon-test-pids"
        try:
            one.mkdir(exist_ok=True)
        except OSError:
            continue
        if (one / "pids.max").exists():
            yield one
            one.rmdir()
            return
        one.rmdir()
    pytest.skip("kernel: no cgroup here has the pids controller")


IN_A_CGROUP = """
import asyncio, os, sys
from pathlib import Path
from tests.agent.disk.test_start_probe import launcher_at, attempt
launcher = launcher_at(Path(sys.argv[1]))
Path(sys.argv[2], "cgroup.procs").write_text(str(os.getpid()))
Path(sys.argv[2], "pids.max").write_text(sys.argv[3])
failed = attempt(launcher)
print(failed.reason if failed else "passed")
"""


@pytest.mark.parametrize(("pids", "words"), [("1", "pids.max"), ("2", "starting a process failed"), ("3", "passed")])
def test_no_process_left_in_the_cgroup(folder: Path, pids_cgroup: Path, pids: str, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CGROUP, str(folder), str(pids_cgroup), pids],
        capture_output=True,
        text=True,
        check=True,
    )
    assert words in done.stdout, done.stdout
    if pids != "3":
        assert "Resource temporarily unavailable" in done.stdout and "pids.max" in done.stdout
    assert [each.name for each in (folder / "slots").rglob("*")] == ["3"]


@needs_root
def test_cgroups_that_are_used_up(folder: Path) -> None:
    """T26: 130,000 leaked cgroups, and every start failed while the host said that it was ready."""
    launcher = launcher_at(folder, cgroups=True)
    base = launcher.cgroup_base
    if base is None:
        pytest.skip("kernel: no cgroup version 2 here")
    try:
        base.mkdir()
        (base / "cgroup.max.descendants").write_text("0")
    except OSError as error:
        pytest.skip(f"kernel: cgroups cannot be limited here ({error})")
    try:
        failed = attempt(launcher)
        assert failed is not None and "making a cgroup failed" in failed.reason
        assert "cgroup.max.descendants" in failed.reason
        (base / "cgroup.max.descendants").write_text("1")
        assert attempt(launcher) is None
        assert not base.exists(), "and no cgroup is left"
    finally:
        if base.exists():
            base.rmdir()


def interpreter(folder: Path, script: str) -> Path:
    program = folder.with_name("interpreter")
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_what_hangs_is_ended_and_said(folder: Path) -> None:
    slow = interpreter(folder, f"touch {folder}/slots/3/{FOLDER}/file; echo $$ > {folder}.pid; exec sleep 1000")
    launcher = launcher_at(folder, interpreter=slow)
    failed = attempt(launcher, limit_s=0.5)
    assert failed is not None and "was not over after 0.5 s" in failed.reason and failed.hung is None
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path(f"{folder}.pid").read_text()), 0)
    assert left(launcher) == ["3"]


@pytest.mark.parametrize(
    ("script", "words"), [("exit 9", "exit 9"), ("kill -SEGV $$", "signal 11"), ("echo no", "exit 0")]
)
def test_a_program_that_says_nothing_of_use(folder: Path, script: str, words: str) -> None:
    failed = attempt(launcher_at(folder, interpreter=interpreter(folder, script)))
    assert (failed is None) if words == "exit 0" else (failed is not None and words in failed.reason)


def test_what_an_agent_left_that_was_ended_in_a_try_goes(folder: Path) -> None:
    launcher = launcher_at(folder)
    for slot in ("3", "7"):
        (launcher.root.slots / slot / FOLDER / "folder" / "deep").mkdir(parents=True)
        (launcher.root.slots / slot / FOLDER / "file").touch()
    assert attempt(launcher) is None
    assert not (launcher.root.slots / "3" / FOLDER).exists()
    clear_left(launcher.root)
    assert left(launcher) == ["3", "7"]


def test_a_link_in_its_place_leads_nowhere(folder: Path) -> None:
    launcher = launcher_at(folder)
    outside = folder.with_name("outside")
    outside.mkdir()
    (outside / "precious").touch()
    (launcher.root.slots / "3").mkdir()
    (launcher.root.slots / "3" / FOLDER).symlink_to(outside)
    failed = attempt(launcher)
    assert failed is not None and (outside / "precious").exists()


def test_ended_from_outside_it_ends_its_process(folder: Path, until: Until) -> None:
    slow = interpreter(folder, f"echo $$ > {folder}.new; mv {folder}.new {folder}.pid; exec sleep 1000")
    launcher = launcher_at(folder, interpreter=slow)

    async def story() -> None:
        going = asyncio.ensure_future(try_start(launcher, SLOT, clock=SystemClock()))
        await asyncio.to_thread(until, lambda: (folder.with_suffix(".pid")).exists(), "its process")
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going

    asyncio.run(story())
    pid = int(Path(f"{folder}.pid").read_text())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


class Adopted:
    """The work folder of a runner that is another user's."""

    def __init__(self, folder: Path) -> None:
        self.launcher = launcher_at(folder)
        self.work = folder.with_name("work")
        self.work.mkdir()
        os.chown(self.work, NOBODY, NOBODY)
        self.slot = AdoptedSlot(
            slot=1000, runner="r", folder=folder.with_name("r"), work=self.work, uid=NOBODY, gid=NOBODY
        )

    def attempt(self) -> Failed | None:
        return asyncio.run(try_adopted(self.launcher, self.slot, clock=SystemClock(), limit_s=20))

    def left(self) -> list[str]:
        return sorted(each.name for each in self.work.iterdir())


@pytest.fixture
def adopted(folder: Path) -> Adopted:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: another user needs root")
    return Adopted(folder)


def test_an_adopted_runner_is_tried_as_its_user_and_nothing_in_its_folder_changes(adopted: Adopted) -> None:
    before = adopted.work.stat()
    assert adopted.attempt() is None and adopted.left() == []
    after = adopted.work.stat()
    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)
    os.chown(adopted.work, 0, 0)
    failed = adopted.attempt()
    assert failed is not None and "writing a file failed" in failed.reason and "user in" in failed.reason


def test_a_work_folder_that_is_still_to_be_made_speaks_against_nothing(adopted: Adopted) -> None:
    adopted.work.rmdir()
    assert adopted.attempt() is None and not adopted.work.exists()


def test_a_full_work_folder_of_an_adopted_runner(adopted: Adopted) -> None:
    with loop_filesystem("ext4", 32, "-N", "64") as point:
        os.chown(point, NOBODY, NOBODY)
        adopted.slot = msgspec.structs.replace(adopted.slot, work=point)
        for number in range(100):
            try:
                (point / f"inode-{number}").touch()
            except OSError:
                break
        failed = adopted.attempt()
        assert failed is not None and "No space left" in failed.reason
        (point / "inode-0").unlink()
        assert adopted.attempt() is None
        filler = fill(point)
        failed = adopted.attempt()
        assert failed is not None and "No space left" in failed.reason
        give_back(filler)
        assert adopted.attempt() is None
