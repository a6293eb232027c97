"""Adoption and its undoing on real folders, by the command itself."""

import contextlib
import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from andon.agent.adoption.adopting import Wanted, carry_out, plan_adoption
from andon.agent.adoption.records import Records
from andon.agent.adoption.undoing import plan_undo, undo
from andon.agent.layout import Root
from andon.cli.main import main
from andon.runtime.clock import SystemClock
from tests.support.runner_folders import RunnerHome

PRUNING = "#!/bin/bash\n# keeps the disk free\n[ 1 ] && rm -rf /nowhere/target-*\n"


class Bench:
    """An agent's configuration, and the command against it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = Root(path=folder / "root")
        (folder / "andon.toml").write_text('[agent]\nname = "host-a"\nroot = "root"\n')
        self.records = Records(self.root)
        self.homes: list[RunnerHome] = []

    def home(self, name: str = "old-1", env: bytes | None = None, **settings: object) -> RunnerHome:
        made = RunnerHome(self.folder / name, name.replace("\n", "-").encode("utf-8", "replace").decode(), settings)
        if env is not None:
            made.env.write_bytes(env)
        self.homes.append(made)
        return made

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["agent", "adopt", "--config", str(self.folder / "andon.toml"), *map(str, words)])
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    def told(self, *words: object) -> tuple[int, list[dict[str, object]]]:
        ran = self.run("--json", *words)
        assert ran.stdout, ran.stderr
        return ran.returncode, msgspec.json.decode(ran.stdout)["folders"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    # Runners may have users of their own, who must reach the root through every folder above it.
    made = Bench(tmp_path)
    yield made
    for home in made.homes:
        home.clean_up()


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything below a folder: kind, mode, owner, time and content."""
    out: dict[str, tuple[object, ...]] = {}
    for path in sorted(folder.rglob("*")):
        seen = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        out[str(path)] = (seen.st_mode, seen.st_uid, seen.st_gid, seen.st_mtime_ns, seen.st_ino, content)
    return out


def test_adoption_and_undo_while_a_job_runs(bench: Bench) -> None:
    env = b"LANG=C.UTF-8\r\nhttp_proxy=http://p:1"
    home = bench.home(env=env)
    home.env.chmod(0o640)
    home.start()
    home.begin_job()
    before = snapshot(bench.folder)
    code, (planned,) = bench.told("--plan", home.path)
    assert (code, planned["outcome"], planned["restart"]) == (0, "planned", True)
    assert snapshot(bench.folder) == before, "a plan only reads"

    code, (told,) = bench.told(home.path)
    assert (code, told["outcome"], told["restart"], told["slot"]) == (0, "adopted", True, 1000)
    assert told["notes"] == ["a job runs there now; it goes on undisturbed"]
    script = bench.records.hooks
    started, completed = (next(script.glob(f"*/job-{event}.sh")) for event in ("started", "completed"))
    assert home.env.read_bytes() == env + (
        f"\r\nACTIONS_RUNNER_HOOK_JOB_STARTED={started}\r\nACTIONS_RUNNER_HOOK_JOB_COMPLETED={completed}".encode()
    )
    assert home.env.stat().st_mode & 0o7777 == 0o640
    once = snapshot(bench.folder)
    code, (again,) = bench.told(home.path)
    assert (code, again["outcome"], again["restart"]) == (0, "unchanged", True)
    assert {path: seen for path, seen in snapshot(bench.folder).items() if "lock" not in path} == {
        path: seen for path, seen in once.items() if "lock" not in path
    }
    home.finish_job()
    assert home.said()[1:] == ["job", "done"], "the job saw nothing of it"

    code, (undone,) = bench.told("--undo", home.path)
    assert (code, undone["outcome"], undone["restart"]) == (0, "undone", True)
    assert home.env.read_bytes() == env and home.env.stat().st_mode & 0o7777 == 0o640
    # Its listener may have been started with our hooks: they must not be missing.
    assert subprocess.run(["bash", "-e", str(started)], check=False).returncode == 0
    assert "hook.py" not in started.read_text()
    assert bench.run("--undo", home.path).returncode == 2


def test_a_plan_works_where_nothing_can_be_written_and_adoption_says_so(bench: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount")
    home = bench.home(env=b"A=1\n")
    command = [sys.executable, "-m", "andon", "agent", "adopt", "--config", str(bench.folder / "andon.toml")]
    mounted = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    for flags, code in ((["--plan"], 0), ([], 2)):
        words = ["unshare", "-m", "sh", "-c", mounted, str(bench.folder), *command, *flags, str(home.path)]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        if "unshare" in ran.stderr or "mount" in ran.stderr.partition(":")[0]:
            pytest.skip(f"kernel: {ran.stderr.strip()}")
        assert ran.returncode == code, ran.stderr
    assert len(ran.stderr.splitlines()) == 1 and "Read-only" in ran.stderr
    assert home.env.read_bytes() == b"A=1\n"


def test_a_hook_of_its_own_runs_behind_ours_and_may_fail_the_job(bench: Bench) -> None:
    own = bench.folder / "own hook.sh"
    own.write_text('#!/bin/bash\necho "own $MARK"\nfalse\necho never\n')
    home = bench.home(env=f"MARK=m1\nACTIONS_RUNNER_HOOK_JOB_STARTED={own}\n".encode())
    code, (told,) = bench.told(home.path)
    assert code == 0
    (guard,) = msgspec.convert(told["guards"], list[dict[str, object]])
    assert (guard["path"], guard["decision"], guard["deletes"]) == (str(own), "chain", [])
    assert "own $MARK" in str(guard["text"])
    home.start()
    home.begin_job()
    said = (home.path / "_diag" / "hook").read_text().splitlines()
    assert said[-1] == "own m1" and said[0].startswith("Andon: ")
    assert "ANDON_SLOT=1000" in next(bench.records.hooks.glob("*/job-started.sh")).read_text()
    assert "hook 1" in home.said(), "its failure is the hook's"
    home.finish_job()
    assert bench.told("--undo", home.path)[0] == 0
    assert home.env.read_bytes() == f"MARK=m1\nACTIONS_RUNNER_HOOK_JOB_STARTED={own}\n".encode()
    script = next(bench.records.hooks.glob("*/job-started.sh"))
    ran = subprocess.run(["bash", "-e", str(script)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "own \n"), "until the restart the old hook still runs"


def test_a_hook_of_the_services_environment_is_chained_as_well(bench: Bench) -> None:
    own = bench.folder / "own.sh"
    own.write_text("echo own\n")
    home = bench.home()
    home.start({"ACTIONS_RUNNER_HOOK_JOB_STARTED": str(own)})
    _, (told,) = bench.told(home.path)
    (guard,) = msgspec.convert(told["guards"], list[dict[str, object]])
    assert (guard["source"], guard["decision"]) == ("the listener's environment", "chain")
    assert str(own) in next(bench.records.hooks.glob("*/job-started.sh")).read_text()


def test_a_folder_that_another_agent_adopted_is_left_to_it(bench: Bench) -> None:
    home = bench.home()
    assert bench.told(home.path)[0] == 0
    (bench.folder / "elsewhere").mkdir()
    other = Bench(bench.folder / "elsewhere")
    code, (told,) = other.told("--replace", home.path)
    assert code == 2 and "another agent adopted this folder" in str(told["error"])
    assert bench.told("--undo", home.path)[0] == 0
    assert other.told(home.path)[0] == 0


@pytest.mark.parametrize("flag", ["--chain", "--replace"])
def test_a_pruning_hook_stops_adoption_until_somebody_decides(bench: Bench, flag: str) -> None:
    own = bench.folder / "prune.sh"
    own.write_text(PRUNING)
    env = f"ACTIONS_RUNNER_HOOK_JOB_STARTED={own}\n".encode()
    home, other = bench.home(env=env), bench.home("old-2")
    junk = bench.folder / "junk"
    junk.mkdir()
    code, (pruning, missing, fine) = bench.told(home.path, junk, other.path)
    assert code == 2 and [each["outcome"] for each in (pruning, missing, fine)] == ["stopped", "refused", "adopted"]
    (guard,) = msgspec.convert(pruning["guards"], list[dict[str, object]])
    assert guard["decision"] is None
    (found,) = msgspec.convert(guard["deletes"], list[dict[str, object]])
    assert found["line"] == 3 and "rm -rf /nowhere" in str(found["text"])
    assert home.env.read_bytes() == env and not list(bench.records.hooks.glob(f"{home.path.name}*"))

    stopped = bench.run(home.path)
    assert stopped.returncode == 1 and len(stopped.stderr.splitlines()) == 1
    assert "--chain" in stopped.stderr and "| [ 1 ] && rm -rf" in stopped.stdout
    assert bench.told("--plan", home.path)[0] == 1

    assert bench.told(flag, home.path)[0] == 0
    script = next(
        path for path in bench.records.hooks.glob("*/job-started.sh") if str(path) in home.env.read_text()
    ).read_text()
    assert (str(own) in script) == (flag == "--chain")
    assert bench.told(home.path)[1][0]["outcome"] == "unchanged", "what was decided stays decided"
    assert bench.told("--undo", home.path)[0] == 0
    assert home.env.read_bytes() == env


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda home: (home.path / ".runner").unlink(), "is not configured"),
        (lambda home: (home.path / ".runner").write_bytes(b"{junk"), "no JSON"),
        (lambda home: (home.path / ".runner").write_bytes(b"[" * 30000), "no JSON"),
        (lambda home: (home.path / ".runner").write_bytes(b"[1]"), "no JSON object"),
        (lambda home: (home.path / ".runner").write_bytes(b'{"agentName": "a\\nb"}'), "agentName"),
        (lambda home: (home.path / ".runner").write_bytes(b" " * 70000), "larger than 64 KiB"),
        (lambda home: ((home.path / ".runner").unlink(), os.mkfifo(home.path / ".runner")), "no plain file"),
        (lambda home: home.env.symlink_to("/etc/passwd"), "symbolic link"),
        (lambda home: home.env.mkdir(), "no plain file"),
        (lambda home: (home.env.write_bytes(b""), os.link(home.env, home.path / "other")), "hard link"),
        (lambda home: home.env.write_bytes("A=1".encode("utf-16")), "UTF-16"),
        (lambda home: home.env.write_bytes(b"A" * (1 << 20) + b"BC"), "larger than 1024 KiB"),
    ],
)
def test_junk_is_refused_in_one_sentence_and_left_alone(
    bench: Bench, spoil: Callable[[RunnerHome], object], sentence: str
) -> None:
    home = bench.home()
    spoil(home)
    ran = bench.run(home.path)
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 1 and sentence in ran.stderr and str(home.path) in ran.stderr
    assert not list(bench.records.folder.glob("*/adoption.json"))
    assert not list(home.path.glob(".env.*"))


def test_no_runner_no_folder_no_directory(bench: Bench) -> None:
    (bench.folder / "file").touch()
    (bench.folder / "empty\nname").mkdir()
    for name, sentence in (("nowhere", "no such folder"), ("file", "no folder"), ("empty\nname", "no runner's folder")):
        ran = bench.run(bench.folder / name)
        assert ran.returncode == 2 and len(ran.stderr.splitlines()) == 1 and sentence in ran.stderr
    assert bench.run().returncode == 2
    home = bench.home()
    assert bench.run("--chain", "--replace", home.path).returncode == 2
    assert bench.run("--undo", home.path).returncode == 2, "never adopted"


def test_names_that_are_no_text(bench: Bench) -> None:
    odd = bench.home(os.fsdecode(b"bad\xff"))
    assert bench.told(odd.path)[1][0]["outcome"] == "refused"
    ran = bench.run(odd.path)
    assert ran.returncode == 2 and "no valid UTF-8" in ran.stderr and len(ran.stderr.splitlines()) == 1
    home = bench.home("line\nbreak", env=b"ACTIONS_RUNNER_HOOK_JOB_STARTED=/own\xff.sh\n", workFolder="\ud800")
    assert "no valid UTF-8" in bench.run(home.path).stderr
    home.env.write_bytes(b"A=\xff\n")
    code, (told,) = bench.told(home.path)
    assert (code, told["folder"]) == (0, str(home.path))
    assert bench.run("--plan", home.path).stdout.splitlines()[0].endswith("slot 1000"), "one line"
    assert bench.told("--undo", home.path)[0] == 0
    assert home.env.read_bytes() == b"A=\xff\n"


def test_a_user_who_cannot_reach_our_hooks_is_refused(bench: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give a folder to another user")
    home = bench.home()
    os.chown(home.path, 65534, 65534)
    bench.folder.chmod(0o700)
    ran = bench.run(home.path)
    assert ran.returncode == 2 and "may not enter" in ran.stderr and "all would fail" in ran.stderr


def test_what_somebody_edited_since_stays_when_adoption_is_undone(bench: Bench) -> None:
    home = bench.home(env=b"A=1\n")
    bench.told(home.path)
    home.env.write_bytes(home.env.read_bytes() + b"B=2\n")
    code, (told,) = bench.told("--undo", home.path)
    assert code == 0 and told["notes"] == ["its .env was edited since; only our own lines are taken out"]
    assert home.env.read_bytes() == b"A=1\nB=2\n"
    assert not list(bench.records.folder.glob("*/adoption.json")), "no listener lives: nothing is kept"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(st.none(), st.binary(max_size=80).filter(lambda raw: raw[:1] not in (b"\xff", b"\xfe", b"\0")))
)
def test_adopting_and_undoing_any_file_is_nothing(bench: Bench, content: bytes | None) -> None:
    if not bench.homes:
        bench.home()
        bench.root.make()
    home, wanted = bench.homes[0], Wanted(host="h", interpreter=Path("/usr/bin/python3"), replace=True)
    home.env.unlink(missing_ok=True)
    if content is not None:
        home.env.write_bytes(content)
    for _ in range(2):
        carry_out(plan_adoption(home.path, bench.records, wanted), bench.records, wanted, SystemClock().now())
    assert home.env.read_bytes() != content
    undo(plan_undo(home.path, bench.records), bench.records)
    assert (home.env.read_bytes() if home.env.exists() else None) == content


def ends_at_write(left: int, words: list[str]) -> int:
    """The command in a process of its own that gets SIGKILL before its write number `left`."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def stop(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        place = str(arguments[0]) if arguments else ""
        if (opened or event in CHANGES) and not place.startswith(("/dev", "/proc")):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    code = 99
    try:
        quiet = os.open("/dev/null", os.O_WRONLY)
        os.dup2(quiet, 1)
        sys.addaudithook(stop)
        code = main(words)
    finally:
        os._exit(code)


CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "shutil.rmtree")


def test_a_stop_at_any_write_leaves_the_old_or_the_new_file_and_can_be_completed(bench: Bench) -> None:
    old = b"A=1\nACTIONS_RUNNER_HOOK_JOB_STARTED=/nowhere/own.sh"
    home = bench.home(env=old)
    words = ["agent", "adopt", "--config", str(bench.folder / "andon.toml"), "--chain", str(home.path)]
    stops = 0
    for direction in ("adopt", "undo"):
        flags = ["--undo" if word == "--chain" else word for word in words] if direction == "undo" else words
        new = home.env.read_bytes() if direction == "undo" else None
        for left in range(60):
            code = ends_at_write(left, flags)
            now = home.env.read_bytes()
            if direction == "adopt":
                assert now == old or b"/adopted/" in now
            else:
                assert now in (old, new)
            if code != -signal.SIGKILL:
                break
            stops += 1
        assert code == 0
    assert stops >= 10, "each write was interrupted once"
    assert home.env.read_bytes() == old
    assert not list(bench.records.folder.glob("*/adoption.json")) and not list(home.path.glob(".env.*"))
