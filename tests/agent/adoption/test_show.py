"""The whole of adoption: three runners as one finds them, taken over under a living agent and given back as they were.

One has a hook of its own, one a hook that prunes, one is full of junk and in the middle of a job.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from andon.cli.main import main
from tests.support.runner_folders import RunnerHome, wait_until

JOB = b"GITHUB_REPOSITORY=acme/app\nGITHUB_RUN_ID=7\nGITHUB_RUN_ATTEMPT=1\nGITHUB_JOB=build\n"
SINGLE = "ACTIONS_RUNNER_HOOK_JOB_STARTED"


def facts(home: RunnerHome) -> dict[str, tuple[object, ...]]:
    """Everything in the folder but what the stand-in itself writes: kind, mode, owner, links, content, and time.

    Not the time of `.env`, nor of the folder that it was replaced in.
    """
    out: dict[str, tuple[object, ...]] = {}
    for path in (home.path, *home.path.rglob("*")):
        seen, name = path.lstat(), str(path.relative_to(home.path))
        if name.partition("/")[0] == "_diag":
            continue
        content: object = None
        if stat.S_ISREG(seen.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISLNK(seen.st_mode):
            content = path.readlink()
        time = None if name in (".env", ".") or stat.S_ISFIFO(seen.st_mode) else seen.st_mtime_ns
        out[name] = (seen.st_mode, seen.st_uid, seen.st_gid, seen.st_nlink, seen.st_size, content, time)
    return out


def fill_with_junk(folder: Path) -> None:
    (folder / "core.1234").write_bytes(b"\0" * 5000)
    (folder / ".env.bak").write_text("SINGLE=/nowhere\n")
    (folder / "to nowhere").symlink_to("/nowhere/at/all")
    (folder / "in a circle").symlink_to("in a circle")
    (folder / "a\nname").write_text("x")
    (folder / os.fsdecode(b"caf\xe9")).write_text("x")
    os.mkfifo(folder / "pipe")
    (folder / "_work" / "closed").mkdir(parents=True)
    (folder / "_work" / "closed").chmod(0)
    (folder / "_work" / "_update").mkdir()
    (folder / "bin.2.300.0").mkdir()
    (folder / ".service").write_text("../../etc/passwd\n")
    if os.geteuid() == 0:
        (folder / "root-owned").write_text("x")
        os.chown(folder / "root-owned", 12345, 12345)


@pytest.fixture
def homes(make_home: Callable[..., RunnerHome], tmp_path: Path) -> tuple[RunnerHome, RunnerHome, RunnerHome]:
    (tmp_path / "own.sh").write_text('echo "own hook of $RUNNER_NAME"\n')
    (tmp_path / "prune.sh").write_text(f"touch {tmp_path}/pruned\nrm -rf /nowhere/target-*\n")
    own = make_home("old-own", JOB + f"RUNNER_NAME=old-own\r\n{SINGLE}={tmp_path}/own.sh".encode())
    pruning = make_home("old-pruning", JOB + f"RUNNER_NAME=old-pruning\n{SINGLE}={tmp_path}/prune.sh\n".encode())
    busy = make_home("old-busy")
    own.env.chmod(0o640)
    fill_with_junk(busy.path)
    return own, pruning, busy


class Command:
    """`andon agent ...` against one agent, as an operator types it."""

    def __init__(self, agent: object, capsys: pytest.CaptureFixture[str]) -> None:
        self._config, self._capsys = str(agent.config), capsys

    def run(self, verb: str, *words: object) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = main(["agent", verb, "--config", self._config, *map(str, words)])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def adopt(self, *words: object) -> tuple[int, list[str]]:
        code, out, _ = self.run("adopt", "--json", *words)
        return code, [folder["outcome"] for folder in msgspec.json.decode(out)["folders"]]


def test_three_runners_are_adopted_and_given_back(make_agent, homes, server, capsys, tmp_path):
    own, pruning, busy = homes
    for home in homes:
        home.start()
    before = [facts(home) for home in homes]
    busy.begin_job()
    agent = make_agent("exit 0", timing={"look": 0.1, "first_restart": 0.05, "longest_restart": 0.2})
    agent.start()
    andon = Command(agent, capsys)
    folders = [home.path for home in homes]

    # The plan says all of it and changes nothing.
    code, said, complaint = andon.run("adopt", "--plan", *folders)
    assert code == 1 and f"{tmp_path}/own.sh" in said and "rm -rf /nowhere" in said
    assert f"its hook {tmp_path}/prune.sh deletes or prunes; nothing was changed" in complaint
    assert "a job runs there now; it goes on undisturbed" in said
    assert [facts(home) for home in homes] == before

    # The one that prunes waits for a decision; it does not stop the others.
    assert andon.adopt(*folders) == (1, ["adopted", "stopped", "adopted"])
    assert facts(pruning) == before[1]
    assert andon.adopt("--replace", pruning.path) == (0, ["adopted"])
    assert andon.adopt("--chain", own.path)[0] == 0

    # Those that are idle are started again; the busy one is not touched while its job lives.
    for home in (own, pruning):
        wait_until(lambda home=home: len(home.listeners()) == 2, "the idle one is started again")
    server.until_slot(1001, "running")
    assert len(busy.listeners()) == 1 and busy.said()[1:] == ["job"]
    _, said, _ = andon.run("status")
    assert "slot 1001 (old-busy): workspace does not act: not before its listener has been started again" in said
    for number, name in ((1000, "old-own"), (1002, "old-pruning")):
        server.until_slot(number, "idle")
        assert f"slot {number} ({name}): workspace does not act" not in said

    # Its job ends as if nobody had been there, and only then is it its turn.
    busy.finish_job()
    wait_until(lambda: len(busy.listeners()) == 2, "it is started again")
    assert busy.said()[1:4] == ["job", "done", "interrupted"]

    # From now on jobs have workspaces; the chained hook runs behind ours, the replaced one does not run.
    for home, more in ((own, ["own hook of old-own"]), (pruning, [])):
        home.begin_job()
        lines = (home.path / "_diag" / "hook").read_text().splitlines()
        assert lines[0].startswith("Andon: host host-a, slot 100") and lines[len(lines) - len(more) :] == more, lines
        assert "hook 0" in home.said()
    server.until(lambda: {one.slot for one in server.leases} == {1000, 1002}, "two workspaces")
    assert not (tmp_path / "pruned").exists()
    for home in (own, pruning):
        home.finish_job()
    server.until(lambda: {one.state for one in server.leases} == {"dead"}, "both jobs are over")

    # And back: every byte, mode, owner and link as it was.
    assert andon.adopt("--undo", *folders) == (0, ["undone"] * 3)
    for home in homes:
        wait_until(lambda home=home: len(home.listeners()) == 3, "it is started with the old environment")
    wait_until(lambda: not [each for each in (agent.root.path / "adopted").iterdir() if each.is_dir()], "nothing kept")
    assert [facts(home) for home in homes] == before
    assert not list((agent.root.hooks / "adopted").iterdir())
    own.begin_job()
    assert (own.path / "_diag" / "hook").read_text().splitlines()[-1] == "own hook of old-own"
    own.finish_job()
    assert busy.said()[-1].endswith("none")
