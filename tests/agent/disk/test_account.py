"""What takes the room: every path has a class, what may go is in order, and what does not says by whom (R47, R52)."""

import asyncio
import os
import subprocess
from pathlib import Path

import msgspec
import pytest

from andon.agent.declared.things import Thing
from andon.agent.disk import account as account_module
from andon.agent.disk import measuring
from andon.agent.disk.account import Account
from andon.agent.disk.evictions import Evictions
from andon.agent.disk.inventory import Inventory, Owned, to_measure
from andon.agent.disk.measuring import AGAIN_S, Measurer
from andon.agent.workspaces.emptying import TrashEmptier
from andon.model.config import Disk
from andon.model.disk import DiskLevel, PathClass, Pinned
from andon.model.wire import LeaseReport
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import LeaseRecord
from andon.rules.disk_marks import Room
from andon.rules.disk_plan import Rank
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock
from tests.agent.disk.conftest import Host

GIB = 1 << 30


def classes(found: tuple[Owned, ...], root: Path) -> dict[str, str]:
    return {str(one.path.relative_to(root)): one.path_class.value for one in found}


def test_everything_below_the_root_has_a_class(host: Host, tmp_path: Path) -> None:
    live, dead = host.workspace(7), host.workspace(8, WorkspaceState.DEAD)
    root = host.root.path
    for folder in (
        "slots/0/clm_live/runner",
        "slots/0/clm_over",
        "slots/0/.probe",
        "trash/old",
        "runs/0/.partial-9-1-a-0123456789",
    ):
        (root / folder).mkdir(parents=True)
    for folder in ("runs/0/somebody's", "runs/not-a-slot", "backup", "slots/left"):
        (root / folder).mkdir(parents=True)
    for file in ("host.token", "policy.json", ".policy.json.abcdefgh", "ballast", "core.4711", "agent.log"):
        (root / file).touch()
    (root / "bases" / "key").mkdir(parents=True)
    work = tmp_path / "adopted" / "_work"
    (work / "app").mkdir(parents=True)
    (work / "_andon-trash" / "left.1").mkdir(parents=True)
    inventory = Inventory(host.root, host.all, lambda: frozenset({"clm_live"}), lambda: {3: work})
    found = inventory.take()
    below = tuple(one for one in found if one.path.is_relative_to(root))
    assert classes(below, root) == {
        f"runs/0/{live.id}": "live",
        f"runs/0/{dead.id}": "dead",
        "runs/0/.partial-9-1-a-0123456789": "live",
        "runs/0/somebody's": "unknown",
        "runs/not-a-slot": "unknown",
        "slots/0/clm_live": "live",
        "slots/0/clm_over": "dead",
        "slots/0/.probe": "live",
        "slots/left": "unknown",
        "trash/old": "trash",
        "bases/key": "base",
        "backup": "unknown",
        "core.4711": "unknown",
        **dict.fromkeys(
            ("run", "bin", "hooks", "host.token", "policy.json", ".policy.json.abcdefgh", "ballast", "agent.log"),
            "live",
        ),
    }
    outside = {one.path.name: one.path_class for one in found if one not in below}
    assert outside == {"app": PathClass.CACHE, "left.1": PathClass.TRASH}, "never ours to take"
    owners = {one.lease: one.owner for one in found if one.lease is not None}
    assert owners == {live.id: "run 7, attempt 1, job build", dead.id: "run 8, attempt 1, job build"}


def test_a_workspace_that_nobody_leases_yet_is_not_called_anybodys(host: Host) -> None:
    record = host.workspace(7)
    host.records.clear()
    (one,) = [one for one in Inventory(host.root, host.all, frozenset, dict).take() if one.path.name == record.id]
    assert one.path_class is PathClass.LIVE


def test_no_link_is_followed(host: Host, tmp_path: Path) -> None:
    (tmp_path / "precious" / "deep").mkdir(parents=True)
    (host.root.runs / "0").symlink_to(tmp_path / "precious")
    work = tmp_path / "adopted" / "_work"
    work.mkdir(parents=True)
    for name in ("_andon", "_andon-trash"):
        # Job code may write here.
        (work / name).symlink_to(tmp_path / "precious")
    found = Inventory(host.root, host.all, frozenset, lambda: {3: work}).take()
    assert not any("deep" in one.path.name for one in found)


class Stage:
    """The account of one host on a filesystem whose room the test says."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host, self.clock = host, VirtualClock()
        self.room = Room(total=50 * GIB, free=40 * GIB)
        self.over: set[str] = set()
        self.sizes: dict[str, int] = {}
        self.held: dict[str, str] = {}
        self.things: tuple[Thing, ...] = ()
        self.stay: tuple[Pinned, ...] = ()
        for module in ("account", "evictions"):
            monkeypatch.setattr(f"andon.agent.disk.{module}.room_at", lambda path: self.room)
        self.emptier = TrashEmptier(
            lambda: (host.root.trash,), gone=host.journal.emptied, clock=self.clock, log=logger("agent")
        )
        self.evictions = Evictions(
            Disk(), host.journal, self._size_of, self.emptier.waiting, lambda: None, lambda: self.things
        )
        self.account = Account(
            Inventory(host.root, host.all, frozenset, dict),
            lambda path, identity: self.sizes.get(path.name),
            self._over,
            self._reports,
            self.evictions,
            Disk(),
            declared=lambda: self.things,
            held=lambda: self.stay,
            changed=lambda: None,
            clock=self.clock,
            log=logger("agent"),
        )

    def thing(self, rank: Rank, number: int, size: int | None = 2 * GIB) -> Thing:
        """One of something declared beside the root; the lower its number the longer unused."""
        path = self.host.root.path.parent / f"{rank.name}-{number}"
        path.mkdir()
        found = path.stat()
        return Thing(
            id=str(path), path=path, identity=(found.st_dev, found.st_ino), home=path.parent, rank=rank,
            path_class=PathClass.CACHE, owner="the cache", why="unused", uid=0, bytes=size, used_at=float(number),
        )  # fmt: skip

    def _size_of(self, record: LeaseRecord) -> int | None:
        return self.sizes.get(record.id)

    def _over(self) -> tuple[LeaseRecord, ...]:
        return tuple(one for one in self.host.all() if one.id in self.over)

    def _reports(self) -> list[LeaseReport]:
        return [
            LeaseReport(
                id=one.id, run_id=one.job.run_id, attempt=1, state=one.state, path=one.path,
                held_by=(self.held[one.id],) if one.id in self.held else (),
            )
            for one in self.host.all()
        ]  # fmt: skip

    def look(self) -> account_module.Share:
        asyncio.run(self.account.look())
        (share,) = self.account.shares().values()
        return share


@pytest.fixture
def stage(host: Host, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(host, monkeypatch)


def test_what_pins_the_room_is_named_largest_first_and_what_may_go_in_its_order(stage: Stage) -> None:
    small, large = stage.host.workspace(1), stage.host.workspace(2, WorkspaceState.DRAINING)
    old, older = stage.host.workspace(4, WorkspaceState.DEAD), stage.host.workspace(3, WorkspaceState.DEAD)
    stage.over = {old.id, older.id}
    stage.sizes = {small.id: 1, large.id: 2, old.id: 3, older.id: 4}
    stage.held = {large.id: "The process 7 (cc1) works in it.", old.id: "its job failed: kept as evidence for a day"}
    share = stage.look()
    assert [(one.lease, one.bytes) for one in share.going] == [(older.id, 4), (old.id, 3)]
    assert [(one.lease, one.by) for one in share.pinned] == [
        (large.id, "run 2, attempt 1, job build: The process 7 (cc1) works in it."),
        (small.id, "run 1, attempt 1, job build: its job runs"),
    ]
    totals = {one.path_class: (one.bytes, one.count) for one in share.classes}
    assert totals[PathClass.DEAD] == (7, 2)


def test_a_pass_that_can_free_nothing_says_so_once_in_a_while(stage: Stage) -> None:
    record = stage.host.workspace(1)
    stage.sizes = {record.id: 47 * GIB}
    assert stage.look().passes == ()
    stage.room = Room(total=50 * GIB, free=2 * GIB)
    assert [(one.level, one.removed, one.freed) for one in stage.look().passes] == [(DiskLevel.HARD, 0, 0)]
    assert len(stage.look().passes) == 1
    stage.clock.advance(601)
    assert len(stage.look().passes) == 2
    stage.over = {record.id}
    stage.clock.advance(601)
    assert len(stage.look().passes) == 2, "something may go"


def test_nobodys_path_is_told(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    (stage.host.root.path / "core.4711").touch()
    assert stage.look().unknown == (str(stage.host.root.path / "core.4711"),)
    stage.look()
    assert capsys.readouterr().out.count("disk.unclassified") == 1


def test_at_soft_the_oldest_goes_until_there_is_enough_with_what_waits_in_the_trash(stage: Stage) -> None:
    records = [stage.host.workspace(run, WorkspaceState.DEAD) for run in (1, 2, 3)]
    stage.sizes = {one.id: 2 * GIB for one in records}
    stage.room = Room(total=50 * GIB, free=7 * GIB)
    assert stage.evictions.wanted(tuple(records)) == {records[0].id, records[1].id}
    (stage.host.root.trash / "nobody-measured-it").mkdir()
    assert stage.evictions.wanted(tuple(records)) == frozenset()
    (stage.host.root.trash / "nobody-measured-it").rmdir()
    stage.room = Room(total=50 * GIB, free=9 * GIB)
    assert stage.evictions.wanted(tuple(records)) == {records[0].id}, "left only at a fifth"
    stage.room = Room(total=50 * GIB, free=11 * GIB)
    assert stage.evictions.wanted(tuple(records)) == frozenset()
    stage.evictions.sweep()
    assert len(stage.evictions.wanted(tuple(records))) == 3
    assert stage.evictions.wanted(tuple(records)) == frozenset(), "once"


def test_what_cannot_be_looked_at_asks_for_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    record = stage.host.workspace(1, WorkspaceState.DEAD)

    def refused(path: Path) -> Room:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("andon.agent.disk.evictions.room_at", refused)
    assert stage.evictions.wanted((record,)) == frozenset()


class Measured:
    def __init__(self, host: Host) -> None:
        self.host, self.clock, self.news = host, VirtualClock(), 0
        self.inventory = Inventory(host.root, host.all, frozenset, dict)
        self.measurer = Measurer(
            lambda: to_measure(self.inventory.take()), changed=self._changed, clock=self.clock, log=logger("agent")
        )

    def _changed(self) -> None:
        self.news += 1

    def size(self, record: LeaseRecord) -> int | None:
        return self.measurer.size_of(Path(record.path), (record.device, record.inode))

    async def look(self, times: int = 1) -> None:
        for _ in range(times):
            await self.measurer.look()


def test_many_small_ones_are_measured_and_told_at_once(host: Host) -> None:
    """Each word of it makes the keeper look at every process of the host."""
    dead = [host.workspace(number, WorkspaceState.DEAD, size=4096) for number in range(1, 9)]

    async def story(one: Measured) -> None:
        await one.look()
        assert all(one.size(each) for each in dead) and one.news == 1

    asyncio.run(story(Measured(host)))


def test_what_is_dead_is_measured_first_and_once_and_what_lives_now_and_then(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if each took long: one in a look.
    monkeypatch.setattr(measuring, "AT_ONCE_S", 0.0)
    live = host.workspace(1, size=1 << 20)
    dead = host.workspace(2, WorkspaceState.DEAD, size=2 << 20)

    async def story(one: Measured) -> None:
        await one.look()
        size = one.size(dead)
        assert size is not None and 2 << 20 <= size < 3 << 20 and one.size(live) is None
        await one.look(6)
        assert (one.size(live) or 0) >= 1 << 20 and one.news >= 2
        before, seen = one.size(live), one.news
        (Path(live.path) / "target" / "more").write_bytes(os.urandom(1 << 20))
        (Path(dead.path) / "target" / "more").write_bytes(os.urandom(1 << 20))
        await one.look(6)
        assert one.size(live) == before and one.news == seen
        one.clock.advance(AGAIN_S + 1)
        await one.look(6)
        assert (one.size(live) or 0) > (before or 0) and one.size(dead) == size
        await one.measurer.close()

    asyncio.run(story(Measured(host)))


def test_what_comes_to_rest_is_measured_once_more(host: Host) -> None:
    record = host.workspace(1, size=1 << 20)

    async def story(one: Measured) -> None:
        await one.look(6)
        before = one.size(record) or 0
        (Path(record.path) / "target" / "more").write_bytes(os.urandom(1 << 20))
        host.change(record, state=WorkspaceState.DEAD)
        assert one.measurer.size_of(Path(record.path), (record.device, record.inode), still=True) is None
        await one.look(2)
        assert (one.size(record) or 0) > before
        await one.measurer.close()

    asyncio.run(story(Measured(host)))


def test_a_size_leaves_neither_the_tree_nor_its_mounts(host: Host, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    record = host.workspace(1, WorkspaceState.DEAD, size=4096)
    big = tmp_path / "big"
    big.mkdir()
    (big / "file").write_bytes(os.urandom(8 << 20))
    target = Path(record.path) / "target"
    (target / "link").symlink_to(big)
    (target / "mounted").mkdir()
    os.link(target / "debug" / "out", target / "again")
    subprocess.run(["mount", "--bind", str(big), str(target / "mounted")], check=True)
    try:
        one = Measured(host)

        async def story() -> None:
            await one.look()
            await one.measurer.close()

        asyncio.run(story())
        assert (one.size(record) or 0) < 1 << 20
    finally:
        subprocess.run(["umount", str(target / "mounted")], check=True)


def test_an_emptied_trash_says_how_much_went(host: Host) -> None:
    record = host.workspace(1, WorkspaceState.DEAD, size=3 << 20)
    Path(record.path).rename(host.root.trash / "old")
    gone: dict[str, int] = {}
    passes: list[tuple[str, int]] = []
    emptier = TrashEmptier(
        lambda: (host.root.trash,),
        gone=gone.__setitem__,
        passed=lambda trash, names, freed: passes.append((trash.name, names)),
        clock=VirtualClock(),
        log=logger("agent"),
    )

    async def story() -> None:
        emptier.hurry()
        await emptier.look()
        await emptier.close()

    assert [path.name for path in emptier.waiting()] == ["old"]
    asyncio.run(story())
    assert 3 << 20 <= gone["old"] < 4 << 20 and passes == [("trash", 1)] and emptier.waiting() == ()
    assert msgspec.json.encode(gone)


def test_what_was_declared_goes_after_every_workspace_the_cheapest_bytes_first(stage: Stage) -> None:
    dead = [stage.host.workspace(run, WorkspaceState.DEAD) for run in (1, 2)]
    stage.sizes = {one.id: GIB for one in dead}
    images, newer, older, entry = (
        stage.thing(Rank.IMAGES, 0, None),
        stage.thing(Rank.CHECKOUT, 2),
        stage.thing(Rank.CHECKOUT, 1),
        stage.thing(Rank.CACHE, 9),
    )
    stage.things = (images, newer, older, entry)

    def wanted() -> tuple[set[str], set[str]]:
        return set(stage.evictions.wanted(tuple(dead))), set(stage.evictions.declared_wanted())

    assert wanted() == (set(), set()), "there is room"
    stage.room = Room(total=50 * GIB, free=7 * GIB)
    assert wanted() == ({one.id for one in dead}, {entry.id}), "3 GiB are wanted"
    dead.clear()
    assert wanted() == (set(), {entry.id, older.id})
    stage.room = Room(total=50 * GIB, free=1 * GIB)
    assert wanted() == (set(), {one.id for one in stage.things})
    stage.over = set()
    assert [one.path for one in stage.look().going] == [str(one.path) for one in (entry, older, newer, images)]


def test_a_sweep_asks_once_for_all_that_was_declared(stage: Stage) -> None:
    stage.things = (stage.thing(Rank.CHECKOUT, 1), stage.thing(Rank.IMAGES, 2, None))
    stage.evictions.sweep()
    stage.evictions.wanted(())
    assert stage.evictions.declared_wanted() == {one.id for one in stage.things}
    assert stage.evictions.declared_wanted() == frozenset()


def test_what_was_declared_and_stays_is_told_among_what_pins_the_room(stage: Stage) -> None:
    one = stage.thing(Rank.CHECKOUT, 1)
    stage.stay = (Pinned(path=str(one.path), by="the adopted runner of slot 1000: A job runs on its runner."),)
    (pinned,) = stage.look().pinned
    assert pinned.path == str(one.path) and "A job runs" in pinned.by
