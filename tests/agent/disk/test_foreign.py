"""A directory of a job that somebody else deletes: found, told once, and with whoever did it (incidents.md P9, P2)."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from andon.agent.disk.culprits import describe, planned_deleters
from andon.agent.disk.foreign import ForeignDeletions
from andon.agent.process_identity import start_ticks
from andon.agent.trees.fanotify import Fanotify
from andon.model.disk import Deletion
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import JobProcess
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock
from tests.agent.disk.conftest import Host

PLANNED = ("cron runs what deletes: /etc/cron.d/sweep, line 1 (rm removes directories).",)


@pytest.fixture
def watched() -> None:
    try:
        Fanotify().close()
    except OSError as error:
        pytest.skip(f"the kernel tells this user of no deletions ({error.strerror}): run as root")


def play(host: Host, story: Callable[[ForeignDeletions], Awaitable[None]], own_pid: int = 0) -> None:
    async def whole() -> None:
        foreign = ForeignDeletions(
            host.all,
            host.journal,
            planned=lambda: PLANNED,
            size_of=lambda record: 4711,
            own_pid=own_pid or os.getpid(),
            nonce=lambda: os.urandom(5).hex(),
            changed=lambda: None,
            clock=VirtualClock(),
            log=logger("agent"),
        )
        try:
            await story(foreign)
        finally:
            foreign.close()

    asyncio.run(whole())


async def run(*command: str, env: dict[str, str] | None = None) -> int:
    process = await asyncio.create_subprocess_exec(*command, env=env)
    await process.wait()
    return process.pid


async def told(host: Host, foreign: ForeignDeletions, path: Path | str) -> Deletion:
    """Looks until a deletion of this path was told."""
    async with asyncio.timeout(20):
        while True:
            await foreign.look()
            for one in host.journal.unheard():
                if one.path == str(path):
                    return one


@pytest.mark.usefixtures("watched")
def test_the_script_that_deleted_a_live_directory_is_named(host: Host, tmp_path: Path) -> None:
    record, other = host.workspace(7), host.workspace(8)
    script = tmp_path / "cleanup.sh"
    clear = "import shutil, sys; shutil.rmtree(sys.argv[1]); sys.stdin.read()"
    script.write_text(f"#!/bin/sh\n{sys.executable} -c '{clear}' {record.path} --token=sesame\nexit\n")
    script.chmod(0o755)

    async def story(foreign: ForeignDeletions) -> None:
        await foreign.look()
        process = await asyncio.create_subprocess_exec(str(script), stdin=subprocess.PIPE)
        one = await told(host, foreign, record.path)
        assert (one.actor, one.lease, one.path_class) == ("foreign", record.id, "live")
        assert one.bytes == 4711 and one.evidence[-1:] == PLANNED
        assert f"deleted {record.path} " in one.evidence[-2]
        assert "(python" in one.evidence[0] and "started by cleanup.sh" in one.evidence[0]
        assert "sesame" not in "".join(one.evidence)
        before = host.journal.unheard()
        await foreign.look()
        assert host.journal.unheard() == before, "told once"
        await process.communicate(b"")

    play(host, story)
    assert Path(other.path).is_dir()


@pytest.mark.usefixtures("watched")
def test_who_clears_a_build_from_inside_is_named_at_once_while_the_job_may(host: Host) -> None:
    """The directory itself stands; what it was for is gone (P9: files vanish mid-build)."""
    tracking = {"RUNNER_TRACKING_ID": "github_7", "PATH": os.environ["PATH"]}
    record = host.workspace(7)
    (Path(record.path) / "target" / "release").mkdir()
    remove = "import os, sys; os.rmdir(sys.argv[1]) if sys.argv[2:] else os.unlink(sys.argv[1]); sys.stdin.read()"

    async def story(foreign: ForeignDeletions) -> None:
        await foreign.look()
        own = await run(
            sys.executable, "-c", "import os, sys; os.rmdir(sys.argv[1])", f"{record.path}/tmp", env=tracking
        )
        stranger = await asyncio.create_subprocess_exec(
            sys.executable, "-c", remove, f"{record.path}/target/release", "dir", stdin=subprocess.PIPE
        )
        one = await told(host, foreign, f"{record.path}/target/release")
        await stranger.communicate(b"")
        assert f"The process {stranger.pid} (" in one.evidence[0] and f" {own} " not in "".join(one.evidence)
        assert [each.path for each in host.journal.unheard()] == [one.path], "the job may clear its own"

    play(host, story)


def test_our_own_deletions_are_no_strangers(host: Host) -> None:
    record = host.workspace(7, WorkspaceState.DEAD)
    gone = Deletion(
        id="del_1", at=datetime(2026, 11, 22, tzinfo=UTC), path=record.path, path_class="dead",
        actor="agent:keeper", reason="its run is over", lease=record.id,
    )  # fmt: skip

    async def story(foreign: ForeignDeletions) -> None:
        await foreign.look()
        host.journal.begin(gone, "trashed")
        os.rename(record.path, host.root.trash / "trashed")  # noqa: PTH104
        await foreign.look()
        assert host.journal.unheard() == ()
        host.journal.moved("del_1")
        await foreign.look()
        assert [one.actor for one in host.journal.unheard()] == ["agent:keeper"]

    play(host, story)


def test_a_directory_that_was_exchanged_is_gone_and_one_that_cannot_be_looked_at_is_not(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchanged, hidden = host.workspace(7), host.workspace(8, slot=1)
    monkeypatch.setattr("andon.agent.disk.foreign.Fanotify", _refused)

    async def story(foreign: ForeignDeletions) -> None:
        exchange(exchanged.path)
        lstat = Path.lstat

        def refused(path: Path) -> os.stat_result:
            if str(path) == hidden.path:
                raise PermissionError(13, "Permission denied")
            return lstat(path)

        monkeypatch.setattr(Path, "lstat", refused)
        one = await told(host, foreign, exchanged.path)
        assert [each.path for each in host.journal.unheard()] == [one.path]
        assert "cannot be told: the kernel does not tell this agent who deletes" in one.evidence[0]

    play(host, story)


def exchange(path: str) -> None:
    Path(path).rename(f"{path}.away")
    Path(path).mkdir()


def _refused() -> Fanotify:
    raise PermissionError(1, "Operation not permitted")


def test_a_process_in_words_without_its_arguments(tmp_path: Path) -> None:
    script = tmp_path / "sweeper.py"
    script.write_text("print('up', flush=True)\nimport sys\nsys.stdin.read()\n")
    process = subprocess.Popen(
        [sys.executable, str(script), "--password", "sesame"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None and process.stdout.readline()
        found = describe(process.pid)
        assert found.seen and not found.inside
        assert f"running {script}" in found.text and "sesame" not in found.text and "started by" in found.text
    finally:
        process.communicate()
    assert describe(process.pid).text == f"The process {process.pid}, which had ended before anybody could look,"


def test_what_deletes_by_plan_is_found(tmp_path: Path) -> None:
    cron, units, hook = tmp_path / "cron.d", tmp_path / "units", tmp_path / "before.sh"
    cron.mkdir()
    units.mkdir()
    (cron / "sweep").write_text("# daily\n0 3 * * * root find /srv -mtime +3 -delete\n")
    (cron / "mail").write_text("0 4 * * * root /usr/bin/mail\n")
    program = tmp_path / "prune-targets"
    program.write_text("#!/bin/sh\nrm -rf /srv/*/target\n")
    (units / "prune.timer").write_text("[Timer]\n")
    (units / "prune.service").write_text(f"[Service]\nExecStart=-{program} --all\n")
    (units / "other.timer").write_text("[Timer]\n")
    hook.write_text("docker system prune -f\n")
    found = planned_deleters([hook], cron=[str(cron)], units=[str(units)])
    assert len(found) == 3
    assert f"A hook of a runner on this host deletes: {hook}" in found[0]
    assert f"cron runs what deletes: {cron / 'sweep'}, line 2" in found[1]
    assert f"The timer prune.timer starts what deletes: {program}" in found[2]


@pytest.mark.usefixtures("watched")
def test_the_jobs_process_itself_may_delete(host: Host) -> None:
    async def story(foreign: ForeignDeletions) -> None:
        code = "import os, sys; sys.stdin.readline(); os.rmdir(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
        record = host.workspace(9)
        (Path(record.path) / "target" / "release").mkdir()
        job = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, f"{record.path}/target/release", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        start = start_ticks(job.pid)
        assert start is not None and job.stdin is not None
        host.change(record, process=JobProcess(pid=job.pid, start=start, uid=0, gid=0))
        await foreign.look()
        job.stdin.write(b"go\n")
        await job.stdin.drain()
        assert job.stdout is not None and await job.stdout.readline()
        await foreign.look()
        assert host.journal.unheard() == ()
        await job.communicate(b"")

    play(host, story)
