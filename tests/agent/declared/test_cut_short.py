"""Ended at every step of taking declared things away: each is whole in its place or in a trash, and the journal of the
next agent says which (R49, R87)."""

import os
import shutil
import tempfile
from collections.abc import Callable
from itertools import count as numbers
from pathlib import Path

import pytest

from andon.agent.declared.removing import DeclaredRemover
from andon.agent.declared.things import Thing
from andon.agent.disk.journal import Stage
from andon.agent.disk.removals import Removals
from andon.model.disk import PathClass
from andon.rules.disk_plan import Rank
from andon.runtime.clock import SystemClock
from tests.agent.disk.conftest import Host
from tests.support.cut_short import cut_at

SETTLED = {Stage.MOVED: False, Stage.TAKEN_BACK: True}


def entries(cache: Path) -> list[Thing]:
    out: list[Thing] = []
    for name in ("a", "b", "c"):
        (cache / name).mkdir(parents=True)
        (cache / name / "file").write_text(name)
        found = (cache / name).stat()
        out.append(
            Thing(
                id=str(cache / name),
                path=cache / name,
                identity=(found.st_dev, found.st_ino),
                home=cache,
                rank=Rank.CACHE,
                path_class=PathClass.CACHE,
                owner="a cache",
                why="beyond its cap",
                uid=0,
                bytes=4096,
                used_at=0.0,
            )
        )
    return out


def remover(host: Host) -> DeclaredRemover:
    clock = SystemClock()
    removals = Removals(host.journal, nonce=lambda: os.urandom(5).hex(), clock=clock)
    return DeclaredRemover(
        host.root.trash, removals.of_declared, lambda one: None, nonce=lambda: os.urandom(5).hex(), clock=clock
    )


@pytest.mark.parametrize("near", [False, True])
def test_whatever_step_it_was_nothing_is_lost_and_the_journal_knows(tmp_path: Path, near: bool, count) -> None:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("kernel: no /dev/shm to write to")
    folder = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="andon-test-"))
    stride, cuts = 15 // count(15), 0
    try:
        for number in numbers(0, stride):
            host = Host(folder / str(number))
            cache = (tmp_path if near else folder) / f"cache-{number}"
            things = entries(cache)

            def story(say: Callable[[str], None], host: Host = host, things: list[Thing] = things) -> None:
                assert set(remover(host).take_away(things).values()) == {None}
                say("done")

            cut = cut_at(number, story)
            host.journal.close()
            again = Host(folder / str(number))
            trashes = (again.root.trash, cache / "_andon-trash")
            trashed = {each.name: each for trash in trashes if trash.is_dir() for each in trash.iterdir()}
            again.journal.recover(trashed)
            left = {thing.id for thing in things if (thing.path / "file").exists()}
            assert len(left) + len(trashed) == 3, f"{cut.step}: each is in one place"
            assert all((each / "file").exists() for each in trashed.values()), cut.step
            for entry in again.journal.entries():
                assert (entry.deletion.path in left) is SETTLED[entry.stage], f"{cut.step}: {entry}"
            told = {one.path for one in again.journal.unheard()}
            assert told == {thing.id for thing in things} - left, f"{cut.step}: no deletion without a line"
            assert set(remover(again).take_away(t for t in things if t.id in left).values()) <= {None}, cut.step
            again.journal.close()
            if cut.step is None:
                break
            cuts += 1
        assert cuts > 20 // stride, "the steps were found"
    finally:
        shutil.rmtree(folder)
