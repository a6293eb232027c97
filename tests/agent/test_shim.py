"""The shim alone: a full disk, a secret cut in two, a user of the slot's own."""

import fcntl
import os
import pwd
import select
import signal
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from andon.agent.cgroups import cgroup_base, end_cgroup, remove_cgroup
from andon.agent.claim_record import ClaimRecord, Phase, read_status
from andon.agent.installed_programs import install_programs
from andon.agent.interpreter import find_interpreter
from andon.agent.launch import Launcher, make_claim_folder, start_shim
from andon.agent.layout import Root
from andon.agent.process_identity import boot_id
from andon.model.wire import ClaimOrder

NOW = datetime.now(UTC)


@pytest.fixture
def launcher(tmp_path, until):
    root = Root(path=tmp_path / "root")
    root.make()
    programs = install_programs(root, find_interpreter(for_other_users=False))
    base = cgroup_base(root)
    yield Launcher(
        host="h",
        root=root,
        programs=programs,
        boot_id=boot_id(),
        cgroup_base=base,
        environ=dict(os.environ),
    )
    if base is not None:
        own = str(base / "0.c1")
        end_cgroup(own)
        until(lambda: remove_cgroup(own), "its cgroup is empty")


def run_shim(launcher, script, *, jit="the-jit", before=lambda folder: None) -> Path:
    """Runs one shim to its end."""
    record = ClaimRecord(claim="c1", generation=1, slot=0, pool="p", runner="r", ordered_at=NOW)
    folder, lock = make_claim_folder(launcher.root, record)
    (folder / "runner").mkdir()
    before(folder)
    order = ClaimOrder(id="c1", generation=1, slot=0, runner="r", jit=jit, deadline=NOW + timedelta(minutes=1))
    launched = start_shim(launcher, folder, lock, order, ("/bin/sh", "-c", script), None)
    os.close(lock)
    os.close(launched.output)
    ended = os.pidfd_open(launched.shim_pid)
    try:
        if not select.select([ended], [], [], 20)[0]:
            os.kill(launched.shim_pid, signal.SIGKILL)
    finally:
        os.close(ended)
    assert os.waitpid(launched.shim_pid, 0)[1] == 0
    return folder


def test_on_a_full_disk_the_runner_goes_on_and_its_end_is_kept(launcher):
    def fill(folder):
        (folder / "output.log").symlink_to("/dev/full")
        (folder / "output.rest.log").symlink_to("/dev/full")
        (folder / ".status.new").symlink_to("/dev/full")

    folder = run_shim(launcher, "head -c 3000000 /dev/zero | tr '\\0' 'y'; echo; echo the end; exit 6", before=fill)
    status = read_status(folder)
    assert (status.phase, status.exit) == (Phase.ENDED, 6)
    assert status.tail.endswith("the end\n")


def test_a_secret_is_hidden_wherever_the_output_is_cut(launcher):
    jit = "abcdefgh" * 600
    # The first part of the secret comes in one piece with enough before it to be passed on at once.
    script = (
        "secret=$ACTIONS_RUNNER_INPUT_JITCONFIG; "
        "for size in 1 1000 4799 4800; do "
        '(head -c 70000 /dev/zero | tr "\\0" z; printf %s "$secret" | head -c $size) > part; cat part; sleep 0.1; '
        'printf %s "$secret" | tail -c +$((size + 1)); done; rm part'
    )
    folder = run_shim(launcher, script, jit=jit)
    kept = b"".join(path.read_bytes() for path in folder.glob("output*"))
    assert kept.count(b"[redacted]") == 4
    assert b"abcdefgh" not in kept
    assert "abcdefgh" not in (folder / "status.json").read_text()


def test_the_runner_has_its_own_session_group_and_no_file_of_ours(launcher):
    stranger = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(stranger, True)
    folder = run_shim(launcher, "cat /proc/$$/stat; ls -l /proc/$$/fd; ulimit -c; cat /proc/$$/status")
    os.close(stranger)
    text = (folder / "output.log").read_text()
    fields = text.splitlines()[0].rpartition(")")[2].split()
    pid = read_status(folder).pid
    assert [int(field) for field in fields[2:4]] == [pid, pid]
    assert {line.split(" -> ")[0].split()[-1] for line in text.splitlines() if " -> " in line} == {"0", "1", "2"}
    ignored = next(line for line in text.splitlines() if line.startswith("SigIgn:"))
    assert int(ignored.split()[1], 16) & sum(1 << (number - 1) for number in (1, 2, 13, 15)) == 0


def test_a_daemon_that_keeps_the_output_open_does_not_keep_the_slot(launcher):
    folder = run_shim(launcher, "setsid sleep 1000 & echo $! > left.pid; echo gone")
    assert read_status(folder).tail == "gone\n"
    os.kill(int((folder / "runner" / "left.pid").read_text()), signal.SIGKILL)


def test_an_order_that_is_not_whole_starts_nothing(launcher, monkeypatch):
    monkeypatch.setattr("andon.agent.launch.json.dumps", lambda order: '{"folder": ')
    with pytest.raises(AssertionError):
        run_shim(launcher, "echo started")
    folder = launcher.root.claim(0, "c1")
    assert read_status(folder) is None
    lock = os.open(folder / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(lock)


def test_records_are_the_agents_own(launcher):
    folder = run_shim(launcher, "true")
    for name in ("status.json", "output.log", "claim.json", "lock"):
        assert stat.S_IMODE((folder / name).stat().st_mode) & 0o077 == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_slot_with_a_user_runs_as_it_and_cannot_touch_our_records(server, make_agent, tmp_path):
    nobody = pwd.getpwnam("nobody")
    script = (
        "id -u; id -g; id -G; echo $HOME $USER $LOGNAME; umask; touch mine && echo wrote; "
        "cat ../status.json ../output.log ../claim.json; touch ../new; echo x > ../../../../host.token; "
        "export GITHUB_REPOSITORY=o/r GITHUB_RUN_ID=1 GITHUB_RUN_ATTEMPT=1 GITHUB_JOB=a GITHUB_ENV=$PWD/env; "
        "touch env; RUNNER_NAME=$ANDON_RUNNER_NAME sh -e $ACTIONS_RUNNER_HOOK_JOB_STARTED; "
        "( . ./env ) 2> /dev/null; touch $(grep -A1 '^TMPDIR<<' env | tail -n 1)/mine && echo its own"
    )
    agent = make_agent(script, user="nobody", token=None)
    (agent.folder / "agent.token").write_text("the-enrolment-secret")
    for folder in (agent.folder, *agent.folder.parents):
        if stat.S_IMODE(folder.stat().st_mode) & 0o001 == 0:
            folder.chmod(0o711)
    server.acknowledging = False
    agent.start()
    server.until_slot(0, "idle")
    server.claim("c1")
    end = server.until_end("c1")
    lines = end.tail.splitlines()
    assert lines[:2] == [str(nobody.pw_uid), str(nobody.pw_gid)]
    assert "0" not in lines[2].split()
    assert lines[3] == f"{nobody.pw_dir} nobody nobody"
    assert "wrote" in lines
    assert end.tail.count("Permission denied") == 5
    assert lines[-2].startswith("Andon: host host-a, slot 0, no base, https://board.example/jobs/1-1-a-")
    assert lines[-1] == "its own", "the workspace is the user's"
    assert end.exit == 0
    assert stat.S_IMODE((agent.one("c1").folder / "runner").stat().st_mode) == 0o700
