"""One drill on this host: a story played with a real agent in this process, judged by what the story demands."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import msgspec
import structlog

from andon.agent.caches.cache_folder import CacheFolder, caches_in
from andon.agent.cgroups import end_cgroup, remove_cgroup
from andon.agent.held import look
from andon.agent.layout import Root
from andon.agent.leases.place import lease_folder
from andon.agent.process_identity import boot_id, end_session
from andon.agent.run import run_agent
from andon.agent.timing import Timing
from andon.model.config import Agent, Config, Sccache, Slots
from andon.model.disk import DiskReport
from andon.model.wire import ClaimOrder
from andon.runtime.clock import Clock, SystemClock
from andon.runtime.environment import environment
from andon.sim.drills.drill import Result
from andon.sim.drills.on_host.stand_in_control_plane import TOKEN, StandInControlPlane
from andon.sim.drills.on_host.stand_in_runner import COMMAND, job
from andon.sim.drills.protections import taken_out
from andon.sim.stage.loop_filesystem import NotHere, loop_filesystem

PATIENCE_S = 20.0
"""For what has to come; a drill that waits longer fails."""
_UNPROTECTED_S = 6.0
"""The same without the protection, when it has to fail: mostly nothing comes."""
_QUICK = Timing(look=0.5, settle=0.02, breath=0.05, interrupt=0.4, terminate=0.4, remove_again=0.3, first_retry=0.05)
NEEDS_ROOT = "it needs root, for users and owners other than its own"


class Never(Exception):
    """What the story waited for did not come."""


class Stage:
    """What a story acts on: the host's agent, its jobs, and what is seen of them."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        user: str | None,
        disk: Path | None,
        patience_s: float,
        sccache: Sccache | None = None,
    ) -> None:
        self.control = StandInControlPlane()
        self.patience_s = patience_s
        self.clock = clock
        self.disk = disk or folder
        """Where the agent's root lies: a small filesystem of its own, where the story asks for one."""
        self.root = Root(path=self.disk / "root")
        self.folder = folder / "shared"
        """Where steps and the story tell each other things: every user's."""
        self.violations: list[str] = []
        # Jobs of another user come through every folder above.
        folder.chmod(0o755)
        self._data, self._user, self._sccache = folder, user, sccache
        self._stop = asyncio.Event()
        self._agent: asyncio.Task[None] | None = None

    @property
    def total(self) -> int:
        """Bytes of the filesystem of the agent's root."""
        return shutil.disk_usage(self.disk).total

    @property
    def free(self) -> int:
        """Those that anybody may still write."""
        return shutil.disk_usage(self.disk).free

    def reported(self) -> DiskReport:
        """What was told last of that filesystem. Raises KeyError."""
        return self.control.disk[str(self.disk)]

    def level(self) -> str | None:
        """Its level as it was told last; None: nothing was told yet."""
        found = self.control.disk.get(str(self.disk))
        return None if found is None else found.level.value

    def hears(self) -> bool:
        """Tells the agent again, within an `until`: an answer that it gave up waiting for is lost."""
        self.control.tell()
        return True

    async def start_agent(self) -> None:
        """Returns once it answers hooks."""
        self._stop = asyncio.Event()
        ready = asyncio.Event()
        slots = Slots(pool="p", command=COMMAND, count=2, user=self._user)
        agent = Agent(
            name="host-a",
            server=self.control.url,
            root=str(self.root.path),
            token_file="its.token",  # noqa: S106
            slots=(slots,),
            sccache=self._sccache,
        )
        self._agent = asyncio.create_task(
            run_agent(
                Config(agent=agent),
                config_path=self._data / "andon.toml",
                data=self._data,
                clock=self.clock,
                environ=environment(),
                announce=lambda line: ready.set(),
                stop=self._stop,
                timing=_QUICK,
            )
        )
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({waiting, self._agent}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._agent.done():
            self._agent.result()
        if not ready.is_set():
            raise Never("the agent is ready")

    async def stop_agent(self) -> None:
        """Runners and their jobs go on."""
        self._stop.set()
        if self._agent is not None:
            await self._agent
        self._agent = None

    def begin(
        self,
        story: str,
        step: str,
        *,
        slot: int = 0,
        run: int = 7,
        attempt: int = 1,
        waits: bool = False,
        lingers: bool = False,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """A job of this name with one step; with `waits` its runner says where it is and has no job until `go`,
        with `lingers` it lives on until `leave`; `more` are variables of its workflow.

        A step may wait for either, once: a word that comes before the
        last one's writer is gone is an end of file to who reads twice."""
        for word in ("go", "leave"):
            os.mkfifo(self.folder / f"{story}.{word}")
        variables = {
            "GITHUB_REPOSITORY": "acme/app",
            "GITHUB_RUN_ID": str(run),
            "GITHUB_RUN_ATTEMPT": str(attempt),
            "GITHUB_JOB": "build",
            "DRILL": str(self.folder),
            "STORY": story,
            "WAITS": "yes" if waits else "",
            "LINGERS": "yes" if lingers else "",
            **more,
        }
        self.control.claims[story] = ClaimOrder(
            id=f"clm_{story}",
            generation=1,
            slot=slot,
            runner=f"andon-drill-{slot}-{story}",
            jit=job(step, variables),
            deadline=self.clock.now() + timedelta(minutes=5),
        )
        self.control.tell()

    async def go(self, story: str) -> None:
        """The runner that waits has its job, or the step that waits goes on."""
        await asyncio.to_thread((self.folder / f"{story}.go").write_text, "now\n")

    async def leave(self, story: str) -> None:
        """The runner that lingered ends, or the step that waits goes on."""
        await asyncio.to_thread((self.folder / f"{story}.leave").write_text, "now\n")

    def says(self, name: str) -> str | None:
        """What a step wrote into this file of the shared folder; None: not yet."""
        path = self.folder / name
        return path.read_text().strip() if path.exists() else None

    async def said(self, name: str) -> str:
        """The same, once it is there."""
        await self.until(lambda: bool(self.says(name)), f"{name} is told")
        return self.says(name) or ""

    def state_of(self, path: str) -> str | None:
        """The state of the workspace at this path, as the agent reported it last; None: of none."""
        return next((one.state for one in self.control.leases.values() if one.path == path), None)

    async def until(self, holds: Callable[[], bool], what: str, patience_s: float | None = None) -> None:
        """Looks until it holds. Raises Never."""
        end = self.clock.monotonic() + (self.patience_s if patience_s is None else patience_s)
        while not holds():
            if self.clock.monotonic() > end:
                raise Never(what)
            await self.clock.sleep(0.02)

    async def looks(self, many: int = 3) -> None:
        """So many looks of the keeper, each made by the control plane's word."""
        for _ in range(many):
            before = self.control.syncs
            self.control.tell()
            await self.until(lambda before=before: self.control.syncs > before, "the agent asks again")
            await self.clock.sleep(0.1)

    def expect(self, holds: bool, otherwise: str) -> None:
        """Notes a violation when something does not hold."""
        if not holds:
            self.violations.append(otherwise)

    async def clean_up(self) -> None:
        """Ends what the story left."""
        await self.stop_agent()
        for key in caches_in(self.root):
            server = CacheFolder(self.root, key).known()
            if server is not None:
                end_session(server.pid, server.start)
        held = look(self.root, boot_id()) if self.root.slots.exists() else ()
        for one in held:
            if one.status is not None and one.status.pid is not None and one.status.pid_start is not None:
                end_session(one.status.pid, one.status.pid_start)
                end_cgroup(one.status.cgroup)
        for one in held:
            if one.status is not None:
                with contextlib.suppress(Never):
                    await self.until(lambda cgroup=one.status.cgroup: remove_cgroup(cgroup), "its cgroup is empty")
        shutil.rmtree(lease_folder(self.root.path, environ=environment(), uid=os.geteuid()), ignore_errors=True)


class HostDrill(msgspec.Struct, frozen=True, kw_only=True):
    """`story` plays it, on this host."""

    id: str
    title: str
    protection: str
    story: Callable[[Stage], Awaitable[None]]
    policy: Mapping[str, Any] = {}
    """What the control plane says of workspaces."""
    user: str | None = None
    """Whom the jobs run as; None: who runs the drill. Another user needs root."""
    disk_mib: int = 0
    """How large the filesystem is that the agent's root gets for itself; 0: none, it lies with everything else."""
    needs_root: str | None = None
    """Why only root can play it."""
    sccache: Sccache | None = None
    """The compile caches that the agent keeps."""
    needs: tuple[str, ...] = ()
    """Programs that it cannot be played without."""

    def play(self, seed: int) -> Result:
        """Plays it to its end. Chance has no part in it."""
        del seed
        return self._play(PATIENCE_S)

    def _play(self, patience_s: float) -> Result:
        needs = self.needs_root or (NEEDS_ROOT if self.user is not None else None)
        if needs is not None and os.geteuid() != 0:
            return _result(self, [], 0.0, (), skipped=needs)
        absent = [name for name in self.needs if shutil.which(name) is None]
        if absent:
            return _result(self, [], 0.0, (), skipped=f"it needs {' and '.join(absent)} on this host")
        try:
            return asyncio.run(_played(self, SystemClock(), patience_s))
        except NotHere as error:
            return _result(self, [], 0.0, (), skipped=str(error))

    def play_unprotected(self, seed: int) -> Result:
        """Without its protection: it has to fail, or it shows nothing."""
        del seed
        with taken_out(self.protection):
            return self._play(_UNPROTECTED_S)


async def _played(drill: HostDrill, clock: Clock, patience_s: float) -> Result:
    began = clock.monotonic()
    with structlog.testing.capture_logs() as lines:
        async with staged(
            clock,
            policy=drill.policy,
            user=drill.user,
            disk_mib=drill.disk_mib,
            sccache=drill.sccache,
            patience_s=patience_s,
        ) as stage:
            try:
                await drill.story(stage)
            except Never as never:
                stage.violations.append(f"never: {never}")
    trace = tuple(" ".join(f"{name}={value}" for name, value in line.items()) for line in lines)
    return _result(drill, stage.violations, clock.monotonic() - began, trace[-60:])


@contextlib.asynccontextmanager
async def staged(
    clock: Clock,
    *,
    policy: Mapping[str, Any] = MappingProxyType({}),
    user: str | None = None,
    disk_mib: int = 0,
    sccache: Sccache | None = None,
    patience_s: float = PATIENCE_S,
) -> AsyncGenerator[Stage]:
    """A host with its agent, and what it talks to; all of it is gone when the block ends. Raises NotHere."""
    with _own_disk(disk_mib) as disk:
        async with staged_on(disk, clock, policy=policy, user=user, sccache=sccache, patience_s=patience_s) as stage:
            yield stage


@contextlib.asynccontextmanager
async def staged_on(
    disk: Path | None,
    clock: Clock,
    *,
    policy: Mapping[str, Any] = MappingProxyType({}),
    user: str | None = None,
    sccache: Sccache | None = None,
    patience_s: float = PATIENCE_S,
) -> AsyncGenerator[Stage]:
    """The same with the agent's root in the folder `disk`; None: with everything else."""
    with TemporaryDirectory(prefix="andon-drill-") as folder:
        data = Path(folder)
        stage = Stage(data, clock, user, disk, patience_s, sccache)
        stage.control.policy = dict(policy)
        stage.folder.mkdir()
        stage.folder.chmod(0o777)
        (data / "its.token").write_text(TOKEN)
        try:
            async with stage.control.answering():
                try:
                    await stage.start_agent()
                    yield stage
                finally:
                    await stage.stop_agent()
        finally:
            await stage.clean_up()


@contextlib.contextmanager
def _own_disk(mib: int) -> Generator[Path | None]:
    """Raises NotHere."""
    if mib:
        with loop_filesystem("ext4", mib) as disk:
            yield disk
    else:
        yield None


def _result(
    drill: HostDrill, found: list[str], seconds: float, trace: tuple[str, ...], *, skipped: str | None = None
) -> Result:
    return Result(
        id=drill.id,
        title=drill.title,
        passed=not found and skipped is None,
        violations=tuple(dict.fromkeys(found)),
        seconds=round(seconds, 1),
        digest="",
        trace=trace if found else (),
        skipped=skipped,
    )
