"""Old checkouts of adopted runners go, and nothing else of their work folders; never beside a job (R47, R48, P2)."""

import fcntl
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from andon.agent.declared import removing
from andon.agent.declared.things import Thing
from andon.agent.disk.inventory import Inventory
from andon.agent.process_identity import start_ticks
from andon.model.disk import PathClass
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import JobIdentity, JobProcess, LeaseRecord


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


KEPT = {"_temp", "_actions", "_tool", "_update", "_PipelineMapping", "_andon"}


def test_of_a_work_folder_an_old_checkout_goes_and_nothing_else(make_stage, make_home) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    home.start()
    work = home.path / "_work"
    (work / "backup" / "db").mkdir(parents=True)
    (work / "notes.txt").write_text("mine")
    (work / "empty").mkdir()
    (work / "link").symlink_to(work / "app")
    stage.days_on = 15
    stage.look()
    assert names(work) == {*KEPT, "backup", "notes.txt", "empty", "link"}
    assert stage.trashed() == ["app"] and not stage.room.things()
    (told,) = stage.host.journal.unheard()
    assert (told.path, told.actor, told.path_class) == (str(work / "app"), "agent:guard", "dead")
    assert told.bytes is not None and told.bytes >= 100_000


def test_nothing_goes_that_is_younger_or_that_was_not_declared(make_stage, make_home) -> None:
    home = make_home()
    for declared, days_on in (({"checkout_days": 14}, 13.9), ({}, 1000), ({"checkout_days": 0.0}, 5.9)):
        stage = make_stage(**declared)
        stage.adopt(home)
        stage.days_on = days_on
        stage.look()
        assert stage.room.things() == () and (home.path / "_work" / "app").is_dir(), declared


def test_one_change_anywhere_below_makes_a_checkout_young(make_stage, make_home) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    stage.days_on = 15
    stage.wanted = frozenset
    stage.look()
    (one,) = stage.room.things()
    # While it waits for its turn a job comes and goes; only the walk right before sees that.
    os.utime(home.path / "_work" / "app" / "app" / "target" / "out", (stage.now(), stage.now()))
    stage.wanted = lambda: frozenset({one.id})
    stage.look()
    assert (home.path / "_work" / "app").is_dir() and "changed it just now" in stage.why()[0]


def test_beside_a_running_job_nothing_of_its_work_folder_goes(make_stage, make_home) -> None:
    stage, home, idle = make_stage(checkout_days=14), make_home("busy"), make_home("idle")
    stage.adopt(home, 1000)
    stage.adopt(idle, 1001)
    home.start()
    home.begin_job()
    stage.days_on = 15
    stage.look(3)
    assert (home.path / "_work" / "app" / "app" / "target" / "out").exists()
    assert not (idle.path / "_work" / "app").exists(), "its neighbour has no job"
    home.finish_job()
    stage.look()
    assert not (home.path / "_work" / "app").exists()


def test_a_lease_of_the_slot_whose_process_lives_is_a_job_too(make_stage, make_home) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    start = start_ticks(os.getpid())
    assert start is not None
    stage.records.append(
        LeaseRecord(
            id="7-1-build-0123456789",
            state=WorkspaceState.LEASED,
            path="/nowhere",
            device=0,
            inode=0,
            slot=1000,
            claim=None,
            job=JobIdentity(repository="acme/app", run_id=7, attempt=1, job="build", runner="old-1"),
            boot_id="boot",
            process=JobProcess(pid=os.getpid(), start=start, uid=0, gid=0),
            made_at=datetime(2026, 11, 22, tzinfo=UTC),
        )
    )
    stage.days_on = 15
    stage.look()
    assert stage.room.things() == () and (home.path / "_work" / "app").is_dir()


def test_what_a_process_still_uses_stays_and_is_named(make_stage, make_home) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    stage.days_on = 15
    with subprocess.Popen(["sleep", "600"], cwd=home.path / "_work" / "app" / "app") as left:
        stage.look()
        assert (home.path / "_work" / "app").is_dir() and str(left.pid) in stage.why()[0]
        left.kill()
        left.wait()
    stage.look()
    assert not (home.path / "_work" / "app").exists() and stage.why() == []


def test_a_lock_of_another_program_keeps_it(make_stage, make_home) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    stage.days_on = 15
    # Our own open files are no use; only the lock can tell.
    file = os.open(home.path / "_work" / "app", os.O_RDONLY)
    fcntl.flock(file, fcntl.LOCK_SH)
    stage.look()
    assert (home.path / "_work" / "app").is_dir() and "holds a lock" in stage.why()[0]
    os.close(file)
    stage.look()
    assert not (home.path / "_work" / "app").exists()


def test_a_job_that_begins_between_the_look_and_the_rename_finds_its_checkout(make_stage, make_home) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    home.start()
    stage.days_on = 15
    its = (home.path / "_work" / "app").stat().st_ino
    asked: list[str | None] = []

    def why_stays(one: Thing) -> str | None:
        asked.append(stage.checkouts.why_stays(one))
        if len(asked) == 1:
            home.begin_job()
        return asked[-1]

    stage.why_stays = why_stays
    stage.look()
    assert asked[0] is None and "A job runs" in str(asked[1])
    assert (home.path / "_work" / "app").stat().st_ino == its and stage.trashed() == []
    assert "put back" in stage.why()[0] and stage.host.journal.unheard() == ()
    home.finish_job()


def test_a_job_that_made_its_checkout_anew_keeps_the_new_one(make_stage, make_home) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    stage.days_on = 15
    new = home.path / "_work" / "app" / "app"

    def why_stays(one: Thing) -> str | None:
        if one.path.exists():
            return None
        new.mkdir(parents=True)
        (new / "fresh").touch()
        return "A job runs on its runner."

    stage.why_stays = why_stays
    stage.look()
    assert (new / "fresh").exists() and stage.trashed() == ["app"]
    assert [one.path for one in stage.host.journal.unheard()] == [str(home.path / "_work" / "app")]


def test_another_directory_under_its_name_is_not_taken(make_stage, make_home, monkeypatch) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    stage.days_on = 15
    app = home.path / "_work" / "app"
    real = removing.find_uses

    def replaced(*args: object, **more: object) -> object:
        app.rename(app.with_name("_old"))
        (app / "app").mkdir(parents=True)
        return real(*args, **more)

    monkeypatch.setattr(removing, "find_uses", replaced)
    stage.look()
    assert (app / "app").is_dir() and stage.trashed() == []
    assert stage.why()[0].endswith("Another directory stands under its name.")


def test_one_that_was_replaced_before_it_was_locked_is_not_even_looked_at(make_stage, make_home, monkeypatch) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    stage.days_on = 15
    app = home.path / "_work" / "app"

    def replaced(one: Thing) -> None:
        app.rename(app.with_name("_old"))
        (app / "app").mkdir(parents=True)

    monkeypatch.setattr(stage.checkouts, "why_not_now", replaced)
    stage.look()
    assert (app / "app").is_dir() and stage.trashed() == []
    assert stage.why()[0].endswith("Another one stands under its name.")


def test_a_link_in_place_of_the_work_folder_leads_nowhere(make_stage, make_home, tmp_path: Path) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    precious = tmp_path / "precious"
    (precious / "app" / "app").mkdir(parents=True)
    shutil.rmtree(home.path / "_work")
    (home.path / "_work").symlink_to(precious)
    stage.days_on = 15
    stage.look()
    assert (precious / "app" / "app").is_dir() and stage.room.things() == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="root: gives a folder to another user")
def test_what_belongs_to_another_user_is_not_its_runners(make_stage, make_home) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    os.chown(home.path / "_work" / "app", 54321, 54321)
    stage.days_on = 15
    stage.look()
    assert (home.path / "_work" / "app").is_dir() and stage.room.things() == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="root: mounts")
@pytest.mark.parametrize("late", [False, True])
def test_what_is_mounted_in_it_survives(make_stage, make_home, tmp_path: Path, late: bool) -> None:
    """Before the look, which finds it; or after it, and then right before the rename."""
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    victim, point = tmp_path / "victim", home.path / "_work" / "app" / "app" / "cache"
    victim.mkdir()
    (victim / "file").touch()
    point.mkdir()
    mounted: list[int] = []

    def mount(one: Thing | None = None) -> None:
        if not mounted:
            mounted.append(subprocess.run(["mount", "--bind", victim, point], check=False).returncode)

    if late:
        stage.why_stays = mount
    else:
        mount()
    stage.days_on = 15
    try:
        stage.look()
    finally:
        if mounted == [0]:
            subprocess.run(["umount", point], check=True)
    if mounted != [0]:
        pytest.skip("kernel: no bind mounts here")
    assert (victim / "file").exists() and (home.path / "_work" / "app").is_dir() and stage.trashed() == []


def test_while_the_guard_does_not_act_all_stays(make_stage, make_home) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    stage.adopt(home)
    stage.days_on = 15
    for mode in ("observe", "off"):
        stage.mode = mode
        stage.look()
        assert [one.path for one in stage.room.things()] == [home.path / "_work" / "app"]
        assert (home.path / "_work" / "app").is_dir()


def test_an_old_checkout_is_dead_to_the_account_and_what_is_strange_is_nobodys(make_stage, make_home) -> None:
    stage, home = make_stage(checkout_days=14), make_home()
    one = stage.adopt(home)
    (one.work / "backup" / "db").mkdir(parents=True)
    stage.days_on, stage.wanted = 15, frozenset
    stage.look()
    inventory = Inventory(stage.host.root, tuple, frozenset, lambda: {1000: one.work}, declared=stage.room.things)
    found = {each.path.name: each.path_class for each in inventory.take() if each.path.parent == one.work}
    assert found == {
        "app": PathClass.DEAD,
        "backup": PathClass.UNKNOWN,
        **dict.fromkeys(KEPT - {"_andon"}, PathClass.CACHE),
    }
