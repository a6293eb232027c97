"""Where workspaces lie, what is found of them, and how they go."""

import os
from pathlib import Path

import msgspec
import pytest

from andon.agent.hooks.plan import prepare_standalone
from andon.agent.layout import IN_WORK, Root
from andon.agent.process_identity import boot_id
from andon.agent.workspaces.directories import Directories
from andon.agent.workspaces.parts import CannotBegin, Made
from andon.agent.workspaces.work_folders import WorkFolders
from andon.model.config import Workspace
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import JobIdentity, JobProcess, LeaseRecord
from andon.runtime.clock import SystemClock

NAME = "7-1-build-0123456789"
ME = JobProcess(pid=1, start=1, uid=os.geteuid(), gid=os.getegid())


class Host:
    def __init__(self, folder: Path) -> None:
        self.root = Root(path=folder / "host-a")
        self.root.make()
        prepare_standalone(self.root, {3: None})
        self.workspace = Workspace()
        self.made = 0
        self.adopted: dict[int, Path] = {}
        self.places = Directories(
            self.root,
            lambda slot: self.workspace,
            WorkFolders(self.root, lambda: self.adopted),
            boot_id=boot_id(),
            nonce=self._nonce,
        )

    def adopt(self, work: Path) -> None:
        """Slot 3 is an adopted runner with this work folder, of a pool for job containers."""
        self.adopted[3] = work
        self.workspace = Workspace(place="work")

    def _nonce(self) -> str:
        self.made += 1
        return f"{self.made:010}"

    def make(self, name: str = NAME, claim: str = "clm_1") -> Made:
        (self.root.claim(3, claim) / "runner").mkdir(parents=True, exist_ok=True)
        return self.places.make(3, claim, name, ME)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def record(made: Made) -> LeaseRecord:
    return LeaseRecord(
        id=made.path.name,
        state=WorkspaceState.DEAD,
        path=str(made.path),
        device=made.device,
        inode=made.inode,
        slot=3,
        claim="clm_1",
        job=JobIdentity(repository="acme/app", run_id=7, attempt=1, job="build", runner="r"),
        boot_id=boot_id(),
        process=None,
        made_at=SystemClock().now(),
    )


@pytest.mark.parametrize("where", ["root", "work"])
def test_made_found_and_put_aside(host: Host, where: str) -> None:
    host.workspace = msgspec.convert({"place": where, "export": {"A": "a/b"}}, Workspace)
    made = host.make()
    below = host.root.runs / "3" if where == "root" else host.root.claim(3, "clm_1") / "runner" / IN_WORK
    assert made.path == below / NAME and (made.path / "a" / "b").is_dir()
    assert [(one.name, one.slot, one.made) for one in host.places.found(())] == [(NAME, 3, made)]
    assert host.places.found({NAME}) == ()
    assert host.places.put_aside(record(made), "old") is None
    (trash,) = [trash for trash in host.places.trashes() if list(trash.iterdir())]
    assert [each.name for each in trash.iterdir()] == ["old"]
    assert trash.stat().st_dev == made.device and trash.stat().st_mode & 0o777 == 0o700
    assert host.places.found(()) == ()
    with pytest.raises(FileNotFoundError):
        host.places.put_aside(record(made), "gone already")


def test_in_an_adopted_runners_work_folder(host: Host, tmp_path: Path) -> None:
    """Whatever that folder is called; and what was made is found and goes after an undoing, too."""
    work = tmp_path / "runner" / "builds"
    host.adopt(work)
    with pytest.raises(FileNotFoundError):
        host.places.make(3, None, NAME, ME)
    work.mkdir(parents=True)
    made = host.places.make(3, None, NAME, ME)
    assert made.path == work / "_andon" / NAME and (made.path / "tmp").is_dir()
    assert [(one.name, one.slot, one.made) for one in host.places.found(())] == [(NAME, 3, made)]
    host.adopted.clear()
    assert [one.made for one in host.places.found(())] == [made]
    assert host.places.put_aside(msgspec.structs.replace(record(made), claim=None), "old") is None
    assert [each.name for each in host.root.trash.iterdir()] == ["old"]
    with pytest.raises(CannotBegin, match="not known"):
        host.places.make(3, None, NAME, ME)


def test_what_earlier_jobs_put_in_the_place_of_a_work_folder_is_not_used(host: Host, tmp_path: Path) -> None:
    theirs, work = tmp_path / "theirs", tmp_path / "runner" / "_work"
    (theirs / "_andon" / NAME).mkdir(parents=True)
    work.parent.mkdir()
    work.symlink_to(theirs)
    host.adopt(work)
    with pytest.raises(CannotBegin, match="a link leads there"):
        host.places.make(3, None, f"{NAME[:-1]}1", ME)
    assert host.places.found(()) == () and len(host.places.trashes()) == 1
    work.unlink()
    work.mkdir()
    (work / "_andon").symlink_to(theirs / "_andon")
    with pytest.raises(CannotBegin, match="a link leads there"):
        host.places.make(3, None, f"{NAME[:-1]}1", ME)
    assert host.places.found(()) == ()
    assert [each.name for each in (theirs / "_andon").iterdir()] == [NAME]
    (work / "_andon").unlink()
    (work / "_andon" / NAME).mkdir(parents=True)
    (work / "_andon").chmod(0o777)
    with pytest.raises(CannotBegin, match="others than the agent may write there"):
        host.places.make(3, None, f"{NAME[:-1]}1", ME)
    assert host.places.found(()) == (), "a job may have made it"


def test_another_directory_under_the_name_stays(host: Host) -> None:
    made = host.make()
    made.path.rename(made.path.with_name("moved"))
    made.path.mkdir()
    assert host.places.put_aside(record(made), "old") == "Another directory stands under its name."
    made.path.rmdir()
    made.path.symlink_to(made.path.with_name("moved"))
    assert host.places.put_aside(record(made), "old") == "Something that is no directory stands under its name."
    assert (made.path.parent / "moved" / "tmp").is_dir()


def test_a_directory_that_is_exchanged_between_look_and_rename_is_put_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    from andon.agent.trees import trash

    made, rename = host.make(), trash.rename_to_new

    def exchanged(source: int, name: str, target: int, new_name: str) -> None:
        monkeypatch.setattr(trash, "rename_to_new", rename)
        made.path.rename(made.path.with_name("moved"))
        made.path.mkdir()
        (made.path / "precious").touch()
        rename(source, name, target, new_name)

    monkeypatch.setattr(trash, "rename_to_new", exchanged)
    assert host.places.put_aside(record(made), "old") == "Another directory was put under its name just now."
    assert (made.path / "precious").exists() and list(host.root.trash.iterdir()) == []


def test_what_an_ended_agent_left_half_made_is_cleared(host: Host) -> None:
    made = host.make()
    half = made.path.parent / f".partial-{NAME}"
    half.mkdir()
    assert host.places.clear_half_made() == 1
    assert not half.exists() and made.path.exists()
    assert [each.name for each in host.root.trash.iterdir()] == [f"partial-{NAME}.0000000001"]
