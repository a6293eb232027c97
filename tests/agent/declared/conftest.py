"""Declared places with real directories, processes and locks; ages are the test's, as nobody can set a ctime back."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from andon.agent.adoption.slots import AdoptedSlot
from andon.agent.declared.caches import Caches
from andon.agent.declared.checkouts import Checkouts
from andon.agent.declared.images import EngineImages
from andon.agent.declared.removing import DeclaredRemover
from andon.agent.declared.room import DeclaredRoom
from andon.agent.declared.things import Thing
from andon.agent.disk.removals import Removals
from andon.model.config import Disk
from andon.model.rails import RailMode
from andon.model.workspaces import LeaseRecord
from andon.rules.disk_plan import Rank
from andon.runtime.clock import SystemClock
from andon.runtime.logging import logger
from tests.agent.disk.conftest import Host
from tests.support.runner_folders import RunnerHome

DAY_S = 86400.0


class Stage:
    """One host with what it declares. `days_on` is how much later it is than the files' own times say."""

    def __init__(self, host: Host, disk: Disk, path: str) -> None:
        self.host, self.days_on = host, 0.0
        self.adopted: list[AdoptedSlot] = []
        self.records: list[LeaseRecord] = []
        self.wanted: Callable[[], frozenset[str]] = lambda: frozenset(one.id for one in self.room.things())
        self.mode: RailMode = "act"
        self.passes: list[tuple[Path, int, int]] = []
        self.clock = SystemClock()
        removals = Removals(host.journal, nonce=lambda: os.urandom(5).hex(), clock=self.clock)
        stop, log = threading.Event(), logger("agent")
        self.checkouts = Checkouts(
            lambda: tuple(self.adopted),
            lambda: tuple(self.records),
            disk.checkout_days,
            now=self.now,
            go_on=lambda: not stop.is_set(),
        )
        self.why_stays: Callable[[Thing], str | None] = lambda one: (
            self.checkouts.why_stays(one) if one.rank is Rank.CHECKOUT else None
        )
        self.images = EngineImages(
            disk.images,
            removals.of_declared,
            passed=lambda place, names, freed: self.passes.append((place, names, freed)),
            environ={"PATH": path},
            nonce=lambda: os.urandom(5).hex(),
            clock=self.clock,
            log=log,
        )
        self.caches = Caches(disk.cache, now=self.now, go_on=lambda: not stop.is_set())
        self.room = DeclaredRoom(
            self.checkouts,
            self.caches,
            self.images,
            DeclaredRemover(
                host.root.trash,
                removals.of_declared,
                lambda one: self.why_stays(one),
                nonce=lambda: os.urandom(5).hex(),
                clock=self.clock,
            ),
            wanted=lambda: self.wanted(),
            mode=lambda: self.mode,
            changed=lambda: None,
            stop=stop,
            clock=self.clock,
            log=log,
        )

    def now(self) -> float:
        return self.clock.now().timestamp() + self.days_on * DAY_S

    def adopt(self, home: RunnerHome, slot: int = 1000) -> AdoptedSlot:
        facts = home.path.stat()
        one = AdoptedSlot(
            slot=slot,
            runner="old-1",
            folder=home.path,
            work=home.path / "_work",
            uid=facts.st_uid,
            gid=facts.st_gid,
        )
        self.adopted.append(one)
        return one

    def look(self, times: int = 1) -> None:
        """As the loop does, with an end to it."""

        async def looks() -> None:
            for _ in range(times):
                await self.room.look()

        asyncio.run(looks())

    def trashed(self, trash: Path | None = None) -> list[str]:
        """What lies in a trash, by the first name in it."""
        trash = trash or self.host.root.trash
        return sorted(next((each.name for each in one.iterdir()), one.name) for one in trash.iterdir() if one.is_dir())

    def why(self) -> list[str]:
        return [one.by for one in self.room.pinned()]


@pytest.fixture
def make_stage(host: Host) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def make(path: str = os.environ["PATH"], **declared: object) -> Stage:
        made.append(Stage(host, Disk(**declared), path))
        return made[-1]

    yield make
    for stage in made:
        asyncio.run(stage.room.close())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path / "agent")
    yield host
    host.journal.close()


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator[Callable[..., RunnerHome]]:
    """A configured runner that does not run yet, with a work folder as jobs leave it."""
    made: list[RunnerHome] = []

    def make(name: str = "old-1") -> RunnerHome:
        home = RunnerHome(tmp_path / name, name)
        work = home.path / "_work"
        for folder in ("_temp", "_actions/checkout", "_tool", "_update", "_PipelineMapping/acme/app", "_andon/7-1-a"):
            (work / folder).mkdir(parents=True)
        (work / "app" / "app" / "target").mkdir(parents=True)
        (work / "app" / "app" / "target" / "out").write_bytes(b"x" * 100_000)
        made.append(home)
        return home

    yield make
    for home in made:
        home.clean_up()
