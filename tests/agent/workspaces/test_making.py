"""A workspace is there whole, the job's own, or not at all (R50, R56)."""

import os
import stat
from pathlib import Path

import pytest

from andon.agent.workspaces.found import found_below
from andon.agent.workspaces.making import make_workspace
from andon.agent.workspaces.ownership import owner_of
from andon.agent.workspaces.parts import CannotBegin
from andon.model.workspaces import JobProcess
from tests.support.as_nobody import as_nobody

NAME = "7-1-build-0123456789"
EXPORT = {"CARGO_TARGET_DIR": "target", "DEEP": "caches/registry/index"}
ME = (os.geteuid(), os.getegid())


def facts(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_every_directory_is_there_with_its_owner_and_mode(tmp_path: Path, mask: int) -> None:
    owner = (65534, 65534) if os.geteuid() == 0 else ME
    before = os.umask(mask)
    try:
        (tmp_path / "runs").mkdir(mode=0o755)
        (tmp_path / "runs").chmod(0o755)
        made = make_workspace(tmp_path / "runs", NAME, owner=owner, export=EXPORT)
    finally:
        os.umask(before)
    assert facts(made.path) == (*owner, 0o700)
    below = [made.path / name for name in ("target", "tmp", "caches", "caches/registry", "caches/registry/index")]
    assert [facts(each) for each in below] == [(*owner, 0o755)] * 5
    assert (made.device, made.inode) == (made.path.stat().st_dev, made.path.stat().st_ino)
    assert [each.name for each in (tmp_path / "runs").iterdir()] == [NAME]


def test_a_name_that_is_there_is_never_taken_over(tmp_path: Path) -> None:
    first = make_workspace(tmp_path, NAME, owner=ME, export={})
    (first.path / "precious").touch()
    with pytest.raises(FileExistsError):
        make_workspace(tmp_path, NAME, owner=ME, export={})
    assert (first.path / "precious").exists()


def test_a_half_made_one_is_never_taken_for_a_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("andon.agent.workspaces.making.rename_to_new", ended)
    with pytest.raises(KeyboardInterrupt):
        make_workspace(tmp_path / "0", NAME, owner=ME, export=EXPORT)
    assert list(found_below(tmp_path, ())) == []


def test_a_link_or_a_folder_of_others_in_place_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"directory|symbolic"):
        make_workspace(tmp_path / "link", NAME, owner=ME, export={})
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(CannotBegin, match="others than the agent may write"):
        make_workspace(tmp_path / "open", NAME, owner=ME, export={})
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_whose_it_is() -> None:
    process = JobProcess(pid=1, start=1, uid=1001, gid=1002)
    assert owner_of("runner", process) == (1001, 1002)
    assert owner_of("10:20", process) == (10, 20)
    assert owner_of("root", process) == (0, 0)
    with pytest.raises(CannotBegin, match='no user "nobody-has-this-name"'):
        owner_of("nobody-has-this-name", process)


def test_without_root_a_workspace_cannot_be_given_away(tmp_path: Path) -> None:
    def act() -> None:
        with pytest.raises(CannotBegin, match="Only root"):
            make_workspace(Path("mine"), NAME, owner=(0, 0), export={})
        assert list(found_below(Path(), ())) == []

    tmp_path.chmod(0o777)
    as_nobody(tmp_path, act)
