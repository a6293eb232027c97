"""Hooks while no agent answers: a directory of their own, a record of it, and no job that fails for it."""

import json
import os
import resource
import socket
import stat
import time
from pathlib import Path

import pytest

from andon.agent.hooks.orphans import forget_orphan, read_orphans
from andon.agent.process_identity import boot_id, start_ticks


def test_a_directory_and_its_record(hooks):
    ran = hooks.call()
    assert ran.code == 0
    assert ran.lines[0].startswith("Andon: host host-a, slot 0, no base; the agent did not answer")
    assert ran.lines[0].endswith(f"; https://board.example/jobs/{ran.env['ANDON_WORKSPACE_ID']}")
    made = Path(ran.env["ANDON_WORKSPACE"])
    assert made.parent == hooks.root.standalone / "0" and stat.S_IMODE(made.stat().st_mode) == 0o700
    assert made.name.startswith("11-2-build-") and len(made.name) == len("11-2-build-") + 10
    assert ran.env["CARGO_HOME"] == f"{made}/cargo-home/deep" and Path(ran.env["CARGO_HOME"]).is_dir()
    assert ran.env["TMPDIR"] == f"{made}/tmp" and Path(ran.env["TMPDIR"]).is_dir()
    assert (ran.env["ANDON_HOST"], ran.env["ANDON_SLOT"]) == ("host-a", "0")
    (orphan,), doubtful = read_orphans(hooks.root)
    assert not doubtful
    assert (orphan.id, orphan.path, orphan.slot, orphan.inode) == (made.name, str(made), 0, made.stat().st_ino)
    assert (orphan.boot_id, orphan.pid, orphan.start) == (boot_id(), os.getpid(), start_ticks(os.getpid()))
    assert (orphan.job.repository, orphan.job.run_id, orphan.job.attempt) == ("acme/app", 11, 2)
    forget_orphan(hooks.root, orphan.id)
    assert read_orphans(hooks.root) == ((), ())


def test_the_job_process_is_found_above_a_chain_of_shells(hooks):
    worker = ("bash", "-c", 'exec -a /opt/bin/Runner.Worker bash -c \'bash -c "$*; true"; echo "$$"\' x "$@"', "x")
    ran = hooks.call(under=worker)
    (orphan,), _ = read_orphans(hooks.root)
    assert str(orphan.pid) == ran.lines[-1]


def test_two_jobs_of_one_run_never_share_a_directory(hooks):
    assert len({hooks.call().env["ANDON_WORKSPACE"] for _ in range(3)}) == 3


@pytest.mark.parametrize("job", ["../../etc", "a\nb\n::error::x", "é" * 3000, "", "-" * 40])
def test_no_name_of_a_job_is_a_path(hooks, job):
    hooks.env["GITHUB_JOB"] = job
    hooks.env["GITHUB_RUN_ID"] = "../" * 5
    ran = hooks.call()
    assert ran.code == 0 and Path(ran.env["ANDON_WORKSPACE"]).parent == hooks.root.standalone / "0"
    assert len(read_orphans(hooks.root)[0]) == 1


def test_names_that_are_no_utf_8(hooks):
    hooks.env["GITHUB_JOB"] = os.fsdecode(b"\xff\xfe/..")
    hooks.env["GITHUB_REF"] = os.fsdecode(b"refs/heads/\xff\n")
    ran = hooks.call()
    assert ran.code == 0 and Path(ran.env["ANDON_WORKSPACE"]).is_dir()


@pytest.mark.parametrize("isolation", ["preferred", "required"])
def test_nowhere_to_write(hooks, isolation):
    hooks.plan(isolation=isolation)
    for folder in (hooks.root.standalone / "0", hooks.root.standalone, hooks.root.orphans):
        folder.rmdir()
    ran = hooks.call()
    assert (ran.code, ran.env) == (1 if isolation == "required" else 0, {})
    assert len(ran.lines) == 1 and ran.lines[0].startswith("Andon: no workspace for this job: No such file")
    assert hooks.call("completed").code == 0


def test_no_plan_is_no_reason_to_fail(hooks):
    (hooks.root.hooks / "plan.json").write_text("[1, 2")
    ran = hooks.call()
    assert (ran.code, ran.env) == (0, {})
    assert ran.lines == ["Andon: no workspace for this job: this host's plan does not know the slot"]


def test_a_link_in_place_of_the_folder(hooks, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (hooks.root.standalone / "0").rmdir()
    (hooks.root.standalone / "0").symlink_to(tmp_path / "elsewhere")
    assert hooks.call().env == {}
    assert not list((tmp_path / "elsewhere").iterdir()) and not list(hooks.root.orphans.iterdir())


def test_a_folder_of_somebody_else(hooks):
    if os.geteuid() != 0:
        pytest.skip("kernel: only root can give a folder away")
    os.chown(hooks.root.standalone / "0", 65534, 65534)
    ran = hooks.call()
    assert ran.env == {} and ran.lines[0].endswith("belongs to somebody else")


def test_a_full_disk_sets_no_half_of_a_variable(hooks):
    ran = hooks.call(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60)))
    assert (ran.code, ran.env) == (0, {})
    assert hooks.env_file.read_bytes() == b""
    assert not [one for one in hooks.root.orphans.iterdir() if not one.name.startswith(".")]


def test_a_full_disk_after_the_record_takes_the_variables_back(hooks):
    hooks.env |= {"GITHUB_REPOSITORY": "a/b"}
    hooks.plan()
    # The record is shorter than the variables: it fits, they do not.
    ran = hooks.call(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500)))
    assert (ran.code, ran.env) == (0, {}) and hooks.env_file.read_bytes() == b""
    assert "GITHUB_ENV cannot be written" in ran.lines[0]


def test_where_containers_are_exported_paths_are_left_to_the_action(hooks, tmp_path):
    hooks.plan(place="work")
    (tmp_path / "_work" / "_temp").mkdir(parents=True)
    hooks.env |= {"RUNNER_TEMP": str(tmp_path / "_work/_temp"), "GITHUB_WORKSPACE": str(tmp_path / "_work/app/app")}
    ran = hooks.call()
    made = Path(ran.env["ANDON_WORKSPACE"])
    assert made.parent == tmp_path / "_work" / "_andon" and (made / "cargo-home/deep").is_dir()
    assert "no path is exported" in ran.lines[0] and "TMPDIR" not in ran.env
    assert ran.env["ANDON_WORKSPACE_EXPORT"].splitlines() == [
        "TMPDIR=tmp",
        "CARGO_TARGET_DIR=target",
        "CARGO_HOME=cargo-home/deep",
    ]
    hooks.env["GITHUB_WORKSPACE"] = "/__w/app/app"
    ran = hooks.call()
    assert ran.env["TMPDIR"] == f"/__w/_andon/{ran.env['ANDON_WORKSPACE_ID']}/tmp"
    assert Path(ran.env["ANDON_WORKSPACE"]).parent == made.parent
    assert len(read_orphans(hooks.root)[0]) == 2


def test_an_adopted_runner_is_known_by_its_name(hooks):
    hooks.plan(runner="old-one")
    del hooks.env["ANDON_SLOT"]
    hooks.env["RUNNER_NAME"] = "old-one"
    assert hooks.call().env["ANDON_SLOT"] == "0"


def test_an_agent_that_hangs_costs_three_seconds(hooks):
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(hooks.root.socket))
        door.listen()
        began = time.monotonic()
        ran = hooks.call()
        took = time.monotonic() - began
    assert ran.code == 0 and Path(ran.env["ANDON_WORKSPACE"]).is_dir()
    assert 2.9 < took < 4.5


@pytest.mark.parametrize("isolation", ["preferred", "required"])
def test_the_deadline_is_kept_and_told(hooks, isolation):
    hooks.plan(isolation=isolation)
    program = hooks.root.hooks / "hook.py"
    text = program.read_text()
    assert "DEADLINE_S = 10\n" in text
    program.write_text(text.replace("DEADLINE_S = 10\n", "DEADLINE_S = 2\n"))
    # Opening a pipe that nobody reads blocks for ever.
    os.mkfifo(hooks.folder / "pipe")
    script = hooks.root.hooks / "job-started.sh"
    script.write_text(f"export GITHUB_ENV={hooks.folder / 'pipe'}\n" + script.read_text())
    ran = hooks.call()
    assert (ran.code, ran.lines) == (
        1 if isolation == "required" else 0,
        [*ran.lines[:-1], "Andon: no workspace: not done within 1 s"],
    )


def test_forged_records_are_told_and_never_believed(hooks, tmp_path):
    honest = hooks.call().env["ANDON_WORKSPACE_ID"]
    record = json.loads((hooks.root.orphans / honest).read_bytes())

    def forge(name: str, **changed: object) -> None:
        (hooks.root.orphans / name).write_text(json.dumps({**record, "id": name, **changed}))

    forge("1-1-job-aaaaaaaaaa", path="/etc/1-1-job-aaaaaaaaaa")
    forge("1-1-job-bbbbbbbbbb", path=f"{hooks.root.standalone}/0/../../../../etc/1-1-job-bbbbbbbbbb")
    forge("1-1-job-cccccccccc", path=str(hooks.root.standalone / "0" / "1-1-job-cccccccccc"))
    (hooks.root.standalone / "0" / "1-1-job-cccccccccc").symlink_to("/etc")
    forge("not an id", path=str(hooks.root.standalone / "0" / "not an id"))
    (hooks.root.orphans / "1-1-job-dddddddddd").symlink_to("/etc/passwd")
    os.mkfifo(hooks.root.orphans / "1-1-job-eeeeeeeeee")
    os.link(hooks.root.hooks / "plan.json", hooks.root.orphans / "1-1-job-ffffffffff")
    (hooks.root.orphans / "1-1-job-gggggggggg").write_bytes(b"\xff{")
    orphans, doubtful = read_orphans(hooks.root)
    assert [one.id for one in orphans] == [honest] and len(doubtful) == 8
    assert all(one.reason.endswith(".") for one in doubtful)


def test_users_may_add_records_and_touch_nobody_elses(hooks):
    mode = stat.S_IMODE(hooks.root.orphans.stat().st_mode)
    assert mode == 0o1733
    assert stat.S_IMODE((hooks.root.standalone / "0").stat().st_mode) == 0o700
