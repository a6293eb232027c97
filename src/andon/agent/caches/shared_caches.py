"""Keeps the compile caches of a host served: one server each, whose cap nobody else sets (R55, incidents.md P7).

Level-triggered: whoever ends a server, the next look starts another on the same cache, within the seconds that a
client goes on trying. Servers outlive the agent, as runners do, since jobs compile through them: one that lives is
taken up again, and one with an old cap is replaced when no job runs.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from andon.agent.caches.cache_folder import PROGRAM, CacheFolder, CacheKey, ServerRecord, caches_in
from andon.agent.caches.server_start import BUSY, ServerUser, listener, open_door, start_server
from andon.agent.caches.server_stats import ServerStats, ask_server
from andon.agent.layout import Root
from andon.agent.process_identity import lives, signal_group
from andon.agent.watches import Watches
from andon.model.caches import CacheReport
from andon.model.config import Sccache
from andon.model.workspaces import JobIdentity, JobProcess
from andon.rules.backoff import backoff
from andon.rules.cache_window import LookupWindow
from andon.rules.cache_words import BACKEND, as_setting, refusals
from andon.rules.sizes import parse_size
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop

LOOK_S, IDLE_LOOK_S = 10.0, 60.0
"""While a job runs here, and while none does."""
PATIENCE_S = 1.0
"""A job's first step waits so long for the first server of its cache, and then goes without one."""
_WHOLE_S = 600
"""A report is news only when it says something else: the window grows in such steps."""

CacheExports = tuple[dict[str, str], tuple[str, ...]]
"""Variables for a job's steps, and notices for its log."""


class _Cache:
    """What is known of one cache while the agent lives."""

    def __init__(self, key: CacheKey, folder: CacheFolder, now: float) -> None:
        self.key, self.folder = key, folder
        self.record = folder.known()
        self.window = LookupWindow(since=now)
        self.told: ServerStats | None = None
        self.trouble: str | None = None
        self.failures = 0
        self.starting = asyncio.Lock()


class SharedCaches:
    """`settings` None: this host keeps none. `busy` says whether a job runs here."""

    def __init__(
        self,
        settings: Sccache | None,
        root: Root,
        *,
        boot: str,
        environ: Mapping[str, str],
        busy: Callable[[], bool],
        changed: Callable[[], None],
        clock: Clock,
        log: Logger,
    ) -> None:
        self._settings, self._root, self._boot, self._environ = settings, root, boot, environ
        self._busy, self._changed, self._clock, self._log = busy, changed, clock, log
        self._cap = 0 if settings is None else parse_size(settings.size) or 0
        self._children: list[subprocess.Popen[bytes]] = []
        self._caches: dict[CacheKey, _Cache] = {key: self._cache(key) for key in caches_in(root)}
        self.loop = Loop("caches", self.look, period=IDLE_LOOK_S, clock=clock, log=log)
        self._watches = Watches(self.loop.nudge)
        self._reports: dict[Path, CacheReport] = {}

    def by_folder(self) -> dict[Path, CacheReport]:
        """Every cache as it was looked at last."""
        return dict(self._reports)

    def paths(self) -> dict[Path, str]:
        """The folder of each cache, with whose it is, in words."""
        return {
            one.folder.path: f"the compile cache of {key.owner} for the user {key.user}"
            for key, one in self._caches.items()
        }

    async def for_job(
        self, job: JobIdentity, process: JobProcess, asked: Mapping[str, str], spare: Path
    ) -> CacheExports:
        """What the steps of this job are given. `asked` are settings of its own; `spare` is where a server that
        the job starts by itself keeps what it compiles: beside nobody else's."""
        if self._settings is None:
            return {}, ()
        if BACKEND in asked:
            # Its owner chose one for all hosts; what this host keeps would come in its place (design.md 7).
            return {}, (f"{asked[BACKEND][:60]} is set: sccache uses that, and not the compile cache of this host.",)
        key = CacheKey(owner=job.repository.split("/")[0].lower(), uid=process.uid)
        one = self._caches.setdefault(key, self._cache(key))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._serve(one)
        said = refusals(asked, self._cap)
        exports = {"SCCACHE_DIR": str(spare), "SCCACHE_CACHE_SIZE": as_setting(self._cap)}
        if not self._is_served(one):
            self.loop.nudge()
            return exports, (*said, f"This job has no shared compile cache: {one.trouble or 'it is being started'}.")
        # A client whose server is lost in the middle of an answer compiles by itself, and fails nothing.
        return exports | {"SCCACHE_SERVER_UDS": str(one.folder.door), "SCCACHE_IGNORE_SERVER_IO_ERROR": "1"}, said

    async def look(self) -> float | None:
        """Every cache is served and its counters are read. The pause until the next look, where it is short."""
        self._children = [one for one in self._children if one.poll() is None]
        if self._settings is None:
            self._end_all()
        else:
            for one in self._caches.values():
                await self._serve(one)
                await self._ask(one)
        self._watches.keep({(record.pid, record.start) for record in self._living()})
        reports = {one.folder.path: self._report(one) for one in self._caches.values()}
        if reports != self._reports:
            self._reports = reports
            self._changed()
        # A client tries for five seconds: the first tries come soon.
        pauses = [backoff(one.failures - 1).total_seconds() for one in self._caches.values() if one.failures]
        return min((LOOK_S if self._busy() else IDLE_LOOK_S, *pauses))

    def close(self) -> None:
        """Servers go on: jobs compile through them."""
        self._watches.close()
        for child in self._children:
            # Whoever comes after us waits for it; `Popen` would call one that is left alone a mistake.
            child.returncode = 0
        self._children.clear()

    def _cache(self, key: CacheKey) -> _Cache:
        return _Cache(key, CacheFolder(self._root, key), self._clock.monotonic())

    def _living(self) -> list[ServerRecord]:
        return [one.record for one in self._caches.values() if one.record is not None and self._lives(one)]

    def _lives(self, one: _Cache) -> bool:
        record = one.record
        return record is not None and record.boot == self._boot and lives(record.pid, record.start)

    def _is_served(self, one: _Cache) -> bool:
        """By our server: a client of the agent's own user can put one of its own in the place of the door."""
        if one.record is None or not self._lives(one) or listener(one.folder.born) is None:
            return False
        if listener(one.folder.door) not in (one.record.pid, BUSY):
            self._log.warning("cache.door_replaced", cache=one.key.name, reason="a job's own server stood behind it")
            try:
                open_door(one.folder)
            except OSError:
                return False
        return True

    async def _serve(self, one: _Cache) -> None:
        async with one.starting:
            if self._is_served(one) and not self._is_outdated(one):
                one.trouble, one.failures = None, 0
                return
            program = self._program()
            try:
                if program is None:
                    raise Refused(_absent(self._settings))
                self._end(one)
                one.record = await start_server(
                    one.key,
                    one.folder,
                    program,
                    self._cap,
                    boot=self._boot,
                    reap=self._children.append,
                    clock=self._clock,
                )
            except Refused as refused:
                if str(refused) != one.trouble:
                    self._log.warning("cache.unserved", cache=one.key.name, reason=str(refused))
                one.trouble, one.failures = str(refused), one.failures + 1
                return
            one.trouble, one.failures = None, 0
            self._log.info("cache.served", cache=one.key.name, pid=one.record.pid, cap=self._cap)
            self.loop.nudge()

    def _is_outdated(self, one: _Cache) -> bool:
        """Whether another cap is wanted, and nothing would miss the server."""
        return one.record is not None and one.record.cap != self._cap and not self._busy()

    def _end(self, one: _Cache) -> None:
        if one.record is not None and self._lives(one):
            signal_group(one.record.pid, one.record.start, signal.SIGKILL)

    def _end_all(self) -> None:
        """The caches are wanted no more: their servers go when no job runs, and what they kept stays."""
        if self._caches and not self._busy():
            for one in self._caches.values():
                if self._lives(one):
                    self._end(one)
                    self._log.info("cache.ended", cache=one.key.name, reason="[agent.sccache] is gone")
            self._caches.clear()

    def _program(self) -> Path | None:
        assert self._settings is not None
        found = shutil.which(self._settings.program, path=self._environ.get("PATH", os.defpath))
        return None if found is None else Path(found).absolute()

    async def _ask(self, one: _Cache) -> None:
        if one.record is None or one.trouble is not None:
            return
        try:
            user = ServerUser(one.key)
        except Refused as refused:
            one.trouble = str(refused)
            return
        told = await ask_server(one.record.program, one.folder.door, user)
        if told is not None:
            one.told = told
            one.window = one.window.read(self._clock.monotonic(), told.lookups)

    def _report(self, one: _Cache) -> CacheReport:
        total = one.window.total()
        return CacheReport(
            program=PROGRAM,
            owner=one.key.owner,
            user=one.key.user,
            cap=self._cap if one.told is None else one.told.cap,
            size=None if one.told is None else one.told.size,
            hits=total.hits,
            misses=total.misses,
            window_s=one.window.seconds(self._clock.monotonic()) // _WHOLE_S * _WHOLE_S,
            trouble=one.trouble,
        )


def _absent(settings: Sccache | None) -> str:
    name = "" if settings is None else settings.program
    return f'"{name}" is not found on this host. Install sccache, or name its path in [agent.sccache] program'
