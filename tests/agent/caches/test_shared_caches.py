"""A host's compile caches with the real sccache and a real compiler (R55, incidents.md P7)."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from andon.agent.caches.cache_folder import CacheFolder, CacheKey, caches_in
from andon.agent.caches.shared_caches import SharedCaches
from andon.agent.layout import Root
from andon.agent.process_identity import lives, start_ticks
from andon.model.caches import CacheReport
from andon.model.config import Sccache
from andon.model.workspaces import JobIdentity, JobProcess
from andon.runtime.clock import SystemClock
from andon.runtime.logging import logger
from tests.support.as_nobody import NOBODY, as_nobody

COMPILER = shutil.which("gcc") or shutil.which("cc")
SCCACHE = shutil.which("sccache", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="NOT TESTED: compile caches need a C compiler; install gcc"),
    pytest.mark.skipif(SCCACHE is None, reason="NOT TESTED: sccache is not installed here"),
]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: another user's cache needs root; run these as root")
MIB = 1 << 20
CAP = 100 * MIB


class Stage:
    """A host's root that other users may pass through, and sccache where they may run it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = Root(path=folder / "host-a")
        self.root.make()
        self.program = folder / "sccache"
        assert SCCACHE is not None
        shutil.copy(SCCACHE, self.program)
        self.busy = False
        self.changes = 0

    def caches(self, settings: Sccache | None = None) -> SharedCaches:
        def changed() -> None:
            self.changes += 1

        return SharedCaches(
            settings or Sccache(size="100 MiB", program=str(self.program)),
            self.root,
            boot="boot",
            environ={"PATH": "/usr/bin:/bin"},
            busy=lambda: self.busy,
            changed=changed,
            clock=SystemClock(),
            log=logger("agent"),
        )

    def compile(self, exports: Mapping[str, str], source: str, *, uid: int | None = None, name: str = "a") -> int:
        """The exit code of a compile in a job's environment."""
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        work.chmod(0o777)
        (work / f"{name}.c").write_text(source, encoding="utf-8")
        assert COMPILER is not None
        done = subprocess.run(
            [self.program, COMPILER, "-c", f"{name}.c", "-o", f"{name}-{os.urandom(4).hex()}.o"],
            cwd=work,
            env={"PATH": "/usr/bin:/bin", "SCCACHE_CONF": "/dev/null", **exports},
            timeout=60,
            check=False,
            **({} if uid is None else {"user": uid, "group": uid, "extra_groups": []}),
        )
        return done.returncode

    def stop_server(self, exports: Mapping[str, str]) -> None:
        command = [self.program, "--stop-server"]
        subprocess.run(command, env={"PATH": "/bin", **exports}, check=True, capture_output=True)

    def user_of(self, pid: int) -> int:
        return Path(f"/proc/{pid}").stat().st_uid

    def end_all(self) -> None:
        for key in caches_in(self.root):
            known = CacheFolder(self.root, key).known()
            if known is not None and lives(known.pid, known.start):
                os.kill(known.pid, signal.SIGKILL)


@pytest.fixture
def stage() -> Iterator[Stage]:
    folder = Path(tempfile.mkdtemp(prefix="andon-caches-", dir="/tmp"))
    folder.chmod(0o755)
    made = Stage(folder)
    try:
        yield made
    finally:
        made.end_all()
        shutil.rmtree(folder)


def of(owner: str = "acme") -> JobIdentity:
    return JobIdentity(repository=f"{owner}/app", run_id=1, attempt=1, job="build", runner="r", tracking="t")


def process(uid: int | None = None) -> JobProcess:
    uid = os.geteuid() if uid is None else uid
    return JobProcess(pid=os.getpid(), start=start_ticks(os.getpid()) or 0, uid=uid, gid=uid, cgroup=None)


@asynccontextmanager
async def running(caches: SharedCaches) -> AsyncIterator[Callable[[], Awaitable[dict[str, CacheReport]]]]:
    """The loop goes round; what is yielded gives the reports of a look that began after the call."""
    going = asyncio.ensure_future(caches.loop.run())

    async def looked() -> dict[str, CacheReport]:
        for _ in range(2):  # the first may have begun before
            seen = caches.loop.passes.version
            caches.loop.nudge()
            await asyncio.wait_for(caches.loop.passes.wait_beyond(seen), 30)
        return {each.name: each for each in caches.by_folder().values()}

    try:
        yield looked
    finally:
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        caches.close()


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def test_two_jobs_of_an_owner_share_a_cache_and_what_it_holds_is_told(stage: Stage) -> None:
    async def story() -> None:
        caches = stage.caches()
        async with running(caches) as looked:
            for _ in range(2):
                exports, notices = await caches.for_job(of(), process(), {}, stage.folder / "spare")
                assert not notices
                assert stage.compile(exports, "int f(void) { return 1; }") == 0
            (report,) = (await looked()).values()
            assert (report.owner, report.cap, report.hits, report.misses) == ("acme", CAP, 1, 1)
            assert report.size and report.trouble is None
            other, _ = await caches.for_job(of("Other"), process(), {}, stage.folder / "spare")
            assert stage.compile(other, "int f(void) { return 1; }") == 0
            reports = await looked()
            assert {each.owner: (each.hits, each.misses) for each in reports.values()} == {
                "acme": (1, 1),
                "other": (0, 1),
            }
            assert set(caches.paths()) == {CacheFolder(stage.root, key).path for key in caches_in(stage.root)}

    play(story)


def test_a_smaller_cap_on_a_client_is_refused_and_evicts_nothing(stage: Stage) -> None:
    async def story() -> None:
        caches = stage.caches()
        async with running(caches) as looked:
            asked = {"SCCACHE_CACHE_SIZE": "1K", "SCCACHE_DIR": "/tmp/mine"}
            exports, notices = await caches.for_job(of(), process(), asked, stage.folder / "spare")
            assert "SCCACHE_CACHE_SIZE=1K is refused" in notices[0] and "100.0 MiB" in notices[0]
            assert "SCCACHE_DIR is not followed" in notices[1]
            assert exports["SCCACHE_CACHE_SIZE"] == "102400K", "stronger than what the workflow says"
            # A step that says it once more reaches the same server, whose cap it cannot set.
            for _ in range(2):
                assert stage.compile(exports | {"SCCACHE_CACHE_SIZE": "1K"}, "int g(void) { return 2; }") == 0
            (report,) = (await looked()).values()
            assert (report.cap, report.hits, report.misses) == (CAP, 1, 1)

    play(story)


@AS_ROOT
def test_a_job_can_neither_reach_the_cache_nor_take_the_place_of_its_server(stage: Stage) -> None:
    async def story() -> None:
        caches = stage.caches()
        async with running(caches):
            exports, _ = await caches.for_job(of(), process(NOBODY), {}, stage.folder / "spare")
            assert stage.compile(exports, "int h(void) { return 3; }", uid=NOBODY) == 0
            folder = CacheFolder(stage.root, CacheKey(owner="acme", uid=NOBODY))
            known = folder.known()
            assert known is not None
            assert stage.user_of(known.pid) == NOBODY, "it runs their compilers as who they are"

            def intrude() -> None:
                for act in (
                    lambda: list(folder.data.iterdir()),
                    folder.door.unlink,
                    lambda: folder.door.rename(folder.door.with_name("x")),
                    lambda: folder.door.with_name("mine.sock").touch(),
                ):
                    try:
                        act()
                    except PermissionError:
                        continue
                    raise AssertionError("a job may do this")

            as_nobody(Path("/"), intrude)
            # With a server of its own on that folder, and a cap of one KiB, it would evict everything.
            alone = {"SCCACHE_DIR": str(folder.data), "SCCACHE_CACHE_SIZE": "1K", "SCCACHE_SERVER_PORT": "0"}
            before = sum(1 for each in folder.data.rglob("*") if each.is_file())
            stage.compile(alone | {"SCCACHE_SERVER_UDS": str(stage.folder / "work/own.sock")}, "int i;", uid=NOBODY)
            assert before and sum(1 for each in folder.data.rglob("*") if each.is_file()) == before

    try:
        play(story)
    finally:
        subprocess.run(["pkill", "-KILL", "-u", str(NOBODY), "-f", str(stage.program)], check=False)


def test_a_server_that_a_job_ends_is_there_again_with_all_that_it_kept(stage: Stage) -> None:
    async def story() -> None:
        caches = stage.caches()
        async with running(caches) as looked:
            exports, _ = await caches.for_job(of(), process(), {}, stage.folder / "spare")
            assert stage.compile(exports, "int j(void) { return 4; }") == 0
            await looked()
            folder = CacheFolder(stage.root, CacheKey(owner="acme", uid=os.geteuid()))
            before = folder.known()
            assert before is not None
            await asyncio.to_thread(stage.stop_server, exports)
            # By the kernel's word, and not by the next look: nobody nudges here.
            async with asyncio.timeout(20):
                while (now := folder.known()) == before:
                    await caches.loop.passes.wait_beyond(caches.loop.passes.version)
            assert now is not None and lives(now.pid, now.start)
            assert await asyncio.to_thread(stage.compile, exports, "int j(void) { return 4; }") == 0
            (report,) = (await looked()).values()
            assert (report.hits, report.misses) == (1, 1), "what the server before had counted counts on"

    play(story)


def test_a_server_outlives_the_agent_and_is_taken_up_again(stage: Stage) -> None:
    async def story() -> None:
        folder = CacheFolder(stage.root, CacheKey(owner="acme", uid=os.geteuid()))
        first = stage.caches()
        async with running(first):
            exports, _ = await first.for_job(of(), process(), {}, stage.folder / "spare")
        before = folder.known()
        assert stage.compile(exports, "int k(void) { return 5; }") == 0, "no agent lives"
        second = stage.caches()
        async with running(second) as looked:
            assert folder.known() == before
            (report,) = (await looked()).values()
            assert report.misses == 1

    play(story)


def test_another_cap_waits_until_no_job_runs(stage: Stage) -> None:
    async def story() -> None:
        folder = CacheFolder(stage.root, CacheKey(owner="acme", uid=os.geteuid()))
        first = stage.caches()
        async with running(first):
            await first.for_job(of(), process(), {}, stage.folder / "spare")
        before = folder.known()
        assert before is not None
        stage.busy = True
        second = stage.caches(Sccache(size="200 MiB", program=str(stage.program)))
        async with running(second) as looked:
            (report,) = (await looked()).values()
            assert report.cap == CAP and folder.known() == before, "somebody compiles through it"
            stage.busy = False
            (report,) = (await looked()).values()
            assert report.cap == 2 * CAP and not lives(before.pid, before.start)

    play(story)


def test_without_sccache_jobs_go_on_alone_and_it_is_said(stage: Stage) -> None:
    async def story() -> None:
        caches = stage.caches(Sccache(size="100 MiB", program="no-such-sccache"))
        async with running(caches) as looked:
            exports, notices = await caches.for_job(of(), process(), {}, stage.folder / "spare")
            assert '"no-such-sccache" is not found on this host' in notices[0]
            assert exports == {"SCCACHE_DIR": str(stage.folder / "spare"), "SCCACHE_CACHE_SIZE": "102400K"}
            (report,) = (await looked()).values()
            assert report.size is None and report.trouble

    play(story)


def test_a_program_that_is_no_sccache_is_ended_and_named(stage: Stage) -> None:
    stage.program.write_text("#!/bin/sh\nexit 3\n", encoding="ascii")
    stage.program.chmod(0o755)

    async def story() -> None:
        caches = stage.caches()
        async with running(caches):
            _, notices = await caches.for_job(of(), process(), {}, stage.folder / "spare")
            assert "ended with 3 instead of serving" in notices[0]

    play(story)


def test_who_brings_a_cache_on_the_network_keeps_it(stage: Stage) -> None:
    async def story() -> None:
        caches = stage.caches()
        asked = {"SCCACHE_BACKEND": "SCCACHE_BUCKET"}
        exports, notices = await caches.for_job(of(), process(), asked, stage.folder / "spare")
        assert not exports and "SCCACHE_BUCKET is set" in notices[0]
        assert not caches_in(stage.root)
        caches.close()

    play(story)
