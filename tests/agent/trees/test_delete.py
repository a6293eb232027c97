"""What lies in the trash goes, whatever it is; what lies outside stays, whatever points to it (host-facts.md 1.6)."""

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.agent.trees.delete import empty_trash
from tests.support.as_nobody import NOBODY, as_nobody


@pytest.fixture
def trash(tmp_path: Path) -> Path:
    folder = tmp_path / "trash"
    folder.mkdir()
    return folder


def left(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


NAMES = st.sampled_from([b"a", b"b", b"-rf", b"new\nline", b"\xff\xfe", b" ", b"..a", b"~", "ä".encode()])


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Any:
    kind = draw(st.sampled_from(["file", "link", "hard", "fifo", "folder", "folder"] if depth else ["file", "link"]))
    if kind != "folder":
        return kind
    return draw(st.dictionaries(NAMES, trees(depth=depth - 1), max_size=4))


def plant(at: bytes, tree: Any, outside: bytes) -> None:
    if tree == "file":
        with open(at, "wb") as file:  # noqa: PTH123
            file.write(b"x")
    elif tree == "link":
        os.symlink(outside, at)  # noqa: PTH211
    elif tree == "hard":
        os.link(outside + b"/precious", at)
    elif tree == "fifo":
        os.mkfifo(at)
    else:
        os.mkdir(at)  # noqa: PTH102
        for name, each in tree.items():
            plant(at + b"/" + name, each, outside)


@given(tree=trees())
def test_any_tree_goes_and_nothing_outside_does(tree: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.mktemp("tree")
    trash, outside = base / "trash", base / "outside"
    trash.mkdir()
    (outside / "more").mkdir(parents=True)
    (outside / "precious").write_text("precious")
    before = (outside / "precious").stat()
    plant(os.fsencode(trash / "it"), tree, os.fsencode(outside))
    done = empty_trash(trash)
    assert left(trash) == [] and done.whole and done.remains == ()
    after = (outside / "precious").stat()
    assert left(outside) == ["more", "precious"]
    assert (after.st_mode, after.st_nlink, after.st_size) == (before.st_mode, 1, before.st_size)


@pytest.fixture
def deep() -> Iterator[Path]:
    """Beside the tests' own folders, whose cleaning does not bear such a depth."""
    with TemporaryDirectory(prefix="andon-deep-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
        subprocess.run(["rm", "-rf", folder], check=True)


def test_a_tree_of_any_depth_takes_few_descriptors(deep: Path) -> None:
    trash = deep
    folder = os.open(trash, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        done = empty_trash(trash)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert left(trash) == [] and done.removed == 3001


def test_a_folder_with_many_names_goes_in_portions(trash: Path) -> None:
    (trash / "many").mkdir()
    for number in range(10_000):
        (trash / "many" / f"{number}").touch()
    assert empty_trash(trash).removed == 10_001
    assert left(trash) == []


def test_one_that_is_stopped_goes_on_later(trash: Path) -> None:
    for number in range(2000):
        (trash / f"{number}").touch()
    asked = iter([True, False])
    first = empty_trash(trash, go_on=lambda: next(asked))
    assert not first.whole and 0 < len(left(trash)) < 2000
    second = empty_trash(trash)
    assert second.whole and first.removed + second.removed == 2000


def test_what_is_to_be_left_is_left(trash: Path) -> None:
    for name in ("young", "old"):
        (trash / name).mkdir()
    empty_trash(trash, leave=frozenset({"young"}))
    assert left(trash) == ["young"]


def test_read_only_directories_go_without_root_too(trash: Path) -> None:
    """As the module cache of Go leaves them."""
    inner = trash / "mod" / "cache" / "closed"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    inner.chmod(0o000)
    (trash / "mod" / "cache").chmod(0o555)
    if os.geteuid() == 0:
        trash.parent.chmod(0o711)
        for folder in (trash, trash / "mod", trash / "mod" / "cache", inner):
            os.chown(folder, NOBODY, NOBODY)
    # By a relative path: what lies above belongs to root.
    as_nobody(trash.parent, lambda: empty_trash(Path(trash.name)))
    assert left(trash) == []


@pytest.fixture
def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("kernel: only root may mount and set these flags")


@pytest.fixture
def mounted(trash: Path, tmp_path: Path, needs_root: None) -> Iterator[Path]:
    """A directory outside, mounted into the trash: on the same filesystem, so that no device number tells."""
    victim, point = tmp_path / "victim", trash / "run" / "deep" / "point"
    victim.mkdir()
    (victim / "precious").touch()
    point.mkdir(parents=True)
    (trash / "run" / "file").touch()
    mounting = subprocess.run(["mount", "--bind", str(victim), str(point)], capture_output=True, text=True, check=False)
    if mounting.returncode:
        pytest.skip(f"kernel: no bind mounts here ({mounting.stderr.strip()})")
    try:
        yield victim
    finally:
        subprocess.run(["umount", str(point)], check=False)


def test_the_files_of_a_mount_inside_survive_and_it_is_named(trash: Path, mounted: Path) -> None:
    done = empty_trash(trash)
    assert left(mounted) == ["precious"]
    assert [one.path for one in done.remains] == [f"{trash}/run/deep/point"]
    assert done.remains[0].reason == "Something is mounted there."
    assert not (trash / "run" / "file").exists(), "the rest goes"
    subprocess.run(["umount", str(trash / "run" / "deep" / "point")], check=True)
    assert empty_trash(trash).whole
    assert left(trash) == []


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("flag", ["+i", "+a"])
def test_what_was_made_unchangeable_goes(trash: Path, flag: str) -> None:
    inner = trash / "run" / "inner"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    setting = subprocess.run(["chattr", "-R", flag, str(trash / "run")], capture_output=True, text=True, check=False)
    if setting.returncode:
        pytest.skip(f"kernel: this filesystem has no such flag ({setting.stderr.strip()})")
    assert empty_trash(trash).remains == ()
    assert left(trash) == []


@pytest.mark.usefixtures("needs_root")
def test_an_unchangeable_file_with_another_name_outside_stays_as_it_is(trash: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.touch()
    (trash / "run").mkdir()
    os.link(outside, trash / "run" / "same")
    if subprocess.run(["chattr", "+i", str(outside)], capture_output=True, check=False).returncode:
        pytest.skip("kernel: this filesystem has no such flag")
    try:
        done = empty_trash(trash)
        shown = subprocess.run(["lsattr", str(outside)], capture_output=True, text=True, check=True).stdout
        assert "i" in shown.split()[0] and done.remains
    finally:
        subprocess.run(["chattr", "-i", str(outside)], check=True)
