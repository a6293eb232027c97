"""Quotas on a real btrfs with simple quotas: probed by doing, of one workspace alone, and in nobody's way elsewhere."""

import asyncio
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from andon.agent.disk.quotas import Quotas
from andon.agent.trees.btrfs import ROOT_INODE, enable_simple_quotas
from andon.agent.trees.delete import empty_trash
from andon.agent.trees.trash import put_aside
from andon.agent.workspaces.making import make_workspace
from andon.model.wire import JobWord
from andon.runtime.clock import SystemClock
from andon.runtime.logging import logger
from andon.sim.drills.on_host.host_drill import Never, staged_on
from andon.sim.drills.on_host.p14_over_its_budget import DRILLS
from andon.sim.stage.loop_filesystem import fill, give_back
from tests.support.loop_filesystems import loop_filesystem

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: mounting a filesystem needs root")
MIB = 1 << 20
ME = (os.getuid(), os.getgid())


@pytest.fixture(scope="module")
def btrfs() -> Iterator[Path]:
    with loop_filesystem("btrfs", 512) as point:
        folder = os.open(point, os.O_RDONLY)
        try:
            enable_simple_quotas(folder)
        except OSError as error:
            pytest.skip(f"kernel: no simple quotas here ({error})")
        finally:
            os.close(folder)
        yield point


def quotas_of(folder: Path) -> Quotas:
    folder.mkdir(exist_ok=True)
    return Quotas(folder, logger("test"))


def write(path: Path, mib: int) -> None:
    with path.open("wb", buffering=0) as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))
        os.fsync(file.fileno())


def test_the_one_over_its_bound_is_refused_and_its_neighbour_is_not(btrfs: Path) -> None:
    quotas = quotas_of(btrfs / "runs")
    assert quotas.probe() and list((btrfs / "runs").iterdir()) == [], "nothing of the probe is left"
    one, other = (
        make_workspace(btrfs / "runs", f"1-1-build-{name * 10}", owner=ME, export={"T": "target"}, subvolume=True)
        for name in "ab"
    )
    assert one.inode == ROOT_INODE and one.device != other.device
    assert one.path.stat().st_mode & 0o777 == 0o700
    assert quotas.hold(one.path, 20 * MIB)
    with pytest.raises(OSError) as refused:
        write(one.path / "target" / "out", 40)
    assert refused.value.errno == errno.EDQUOT
    write(other.path / "target" / "out", 40)
    os.sync()
    assert 30 * MIB <= (quotas.written(other.path) or 0) <= 60 * MIB
    assert quotas.hold(one.path, None)
    write(one.path / "target" / "more", 30)


def test_a_workspace_that_is_a_subvolume_goes_as_any_other(btrfs: Path) -> None:
    made = make_workspace(btrfs / "runs", "2-1-build-cccccccccc", owner=ME, export={"T": "target"}, subvolume=True)
    write(made.path / "target" / "out", 2)
    trash = btrfs / "trash"
    trash.mkdir()
    assert put_aside(made.path, (made.device, made.inode), trash, "gone") is None
    assert empty_trash(trash).whole and list(trash.iterdir()) == []


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_where_nobody_switched_them_on_nothing_is_different(kind: str) -> None:
    with loop_filesystem(kind, 256) as point:
        quotas = quotas_of(point / "runs")
        assert not quotas.probe() and list((point / "runs").iterdir()) == []
        made = make_workspace(point / "runs", "1-1-build-dddddddddd", owner=ME, export={})
        assert quotas.written(made.path) is None and not quotas.hold(made.path, MIB)


def test_a_probe_that_an_ended_agent_left_is_in_nobodys_way(btrfs: Path) -> None:
    quotas = quotas_of(btrfs / "left")
    (btrfs / "left" / ".partial-quota-probe").mkdir()
    (btrfs / "left" / ".partial-quota-probe" / "out").write_bytes(b"x")
    assert quotas.probe() and list((btrfs / "left").iterdir()) == []


def test_quotas_that_refuse_nothing_are_not_used(btrfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By doing, not by what the kernel says of itself."""
    quotas = quotas_of(btrfs / "lies")
    monkeypatch.setattr("andon.agent.disk.quotas.limit", lambda folder, subvolume, most: None)
    assert not quotas.probe()


WRITES = 'echo "$ANDON_WORKSPACE" > "$DRILL/{0}.path"; head -c 2M /dev/urandom > "$ANDON_WORKSPACE/out"; '


def opened(pid: int, path: Path) -> bool:
    return os.path.realpath(f"/proc/{pid}/fd/0") == str(path)


def test_a_whole_agent_lets_no_live_subvolume_go(btrfs: Path) -> None:
    """A job, and then only a bind mount in another namespace and an open file of nobody's session, hold it."""

    async def story() -> None:
        async with staged_on(btrfs / "host", SystemClock()) as stage:
            stage.begin("lives", WRITES.format("lives") + 'read -r line < "$DRILL/lives.leave"')
            path = Path(await stage.said("lives.path"))
            assert os.stat(path).st_ino == ROOT_INODE, "its workspace is a subvolume"  # noqa: PTH116
            mounted = await asyncio.create_subprocess_exec(
                *("unshare", "--mount", "sh", "-c", f"mount --bind {path} /mnt && echo ready && exec sleep 100"),
                stdout=subprocess.PIPE,
                cwd="/",
            )
            try:
                assert mounted.stdout is not None
                await mounted.stdout.readline()
                await stage.leave("lives")
                await stage.until(lambda: "clm_lives" in stage.control.ends, "its runner ends")
                stage.control.runs["7"] = "completed"
                stage.control.jobs[path.name] = JobWord(id=1, conclusion="success")
                await stage.looks(4)
                assert (path / "out").exists(), "what another namespace has mounted went"
            finally:
                # Another process has a file of it open before nothing is mounted any more.
                reads = await asyncio.create_subprocess_exec("sh", "-c", f"exec sleep 100 < {path}/out", cwd="/")
                await stage.until(lambda: opened(reads.pid, path / "out"), "it is open")
                mounted.kill()
                await mounted.wait()
            try:
                await stage.looks(4)
                assert (path / "out").exists(), "a file of it was open, and it went"
            finally:
                reads.kill()
                await reads.wait()
            await stage.until(lambda: stage.hears() and not path.exists(), "it goes when nothing uses it")

    asyncio.run(story())


def test_a_job_that_takes_its_neighbours_room_is_refused_by_the_kernel(btrfs: Path) -> None:
    """P14b where quotas hold: its own write fails, and nobody has to end it."""
    story = next(each for each in DRILLS if each.id == "P14b").story

    async def play() -> list[str]:
        async with staged_on(btrfs / "over", SystemClock()) as stage:
            filler = fill(btrfs, leave=370 * MIB)
            try:
                with pytest.raises(Never, match="nobody is told why"):
                    await story(stage)
                    raise Never("; ".join(stage.violations))
            finally:
                give_back(filler)
            return [words for each in stage.control.leases.values() for words in each.held_by]

    said = asyncio.run(play())
    assert any(words.startswith("it may write no more than") for words in said), said
