"""A named cache is kept to its cap by its least recently used entries, and by none that is in use (R55, R47)."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from andon.agent.declared import caches
from andon.agent.declared.steady_time import steady_time
from andon.agent.disk.inventory import Inventory
from andon.agent.leases.mounts import Mount
from andon.model.config import Cache
from andon.model.disk import PathClass

MIB = 1 << 20
DAYS = 86400.0


def fill(cache: Path, *names: str, now: float, days_ago: dict[str, float] | None = None) -> None:
    """Entries of one MiB, the first used longest ago."""
    for number, name in enumerate(names):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(b"x" * MIB)
        ago = (days_ago or {}).get(name, 30.0 - number) * DAYS
        os.utime(cache / name, (now - ago, now - ago))


def names(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


def lru(path: Path, cap: str, **more: object) -> Cache:
    return Cache(path=str(path), kind="lru", cap=cap, **more)


def test_the_least_recently_used_go_down_to_the_cap_and_each_is_written_down(make_stage, tmp_path: Path) -> None:
    cache = tmp_path / "npm"
    stage = make_stage(cache=(lru(cache, "2.5 MiB"),))
    stage.wanted = frozenset
    fill(cache, "a", "b", "c", "d", now=stage.now())
    stage.look()
    assert names(cache) == ["c", "d"], "without anybody asking for room: the cap is the rule"
    assert [(one.path, one.bytes, one.path_class) for one in stage.host.journal.unheard()] == [
        (str(cache / "a"), MIB, "cache"),
        (str(cache / "b"), MIB, "cache"),
    ]
    assert len(list(stage.host.root.trash.iterdir())) == 2


def test_a_counted_cache_is_never_touched(make_stage, tmp_path: Path) -> None:
    cache = tmp_path / "sccache"
    stage = make_stage(cache=(Cache(path=str(cache), cap="1 MiB"),))
    fill(cache, "a", "b", "c", now=stage.now())
    stage.look(2)
    assert names(cache) == ["a", "b", "c"] and stage.room.things() == ()
    inventory = Inventory(stage.host.root, tuple, frozenset, dict, named_caches=stage.room.caches)
    (found,) = [one for one in inventory.take() if one.path == cache]
    assert found.path_class is PathClass.CACHE


def test_what_was_used_in_the_last_day_stays(make_stage, tmp_path: Path) -> None:
    cache = tmp_path / "npm"
    stage = make_stage(cache=(lru(cache, "1 MiB"),))
    fill(cache, "a", "b", "c", now=stage.now(), days_ago={"b": 0.9, "c": 0.1})
    stage.look()
    assert names(cache) == ["b", "c"]


def test_a_read_is_a_use(make_stage, tmp_path: Path) -> None:
    cache = tmp_path / "npm"
    stage = make_stage(cache=(lru(cache, "1.5 MiB"),))
    fill(cache, "a", "b", now=stage.now())
    was = (cache / "a").stat()
    os.utime(cache / "a", (stage.now() - 2 * DAYS, was.st_mtime))
    stage.look()
    assert names(cache) == ["a"]


def test_for_an_entry_that_is_open_the_next_one_goes(make_stage, tmp_path: Path, running) -> None:
    cache = tmp_path / "npm"
    stage = make_stage(cache=(lru(cache, "2.5 MiB"),))
    fill(cache, "a", "b", "c", now=stage.now())
    reader = running(cache / "a")
    stage.look(3)
    assert names(cache) == ["a", "c"]
    assert len(stage.why()) == 1 and str(reader) in stage.why()[0]


def test_an_entry_with_a_lock_of_another_program_stays(make_stage, tmp_path: Path) -> None:
    cache = tmp_path / "npm"
    stage = make_stage(cache=(lru(cache, "1.5 MiB"),))
    fill(cache, "a", "b", now=stage.now())
    with (cache / "a").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        stage.look(2)
    assert names(cache) == ["a"]


def test_entries_may_lie_deeper_and_may_be_directories(make_stage, tmp_path: Path) -> None:
    hashed, crates = tmp_path / "sccache", tmp_path / "crates"
    stage = make_stage(cache=(lru(hashed, "1.5 MiB", depth=3), lru(crates, "1.5 MiB")))
    fill(hashed, "0/1/a", "0/2/b", now=stage.now())
    fill(crates, "serde/src/lib.rs", "rand/src/lib.rs", now=stage.now())
    for folder in (crates / "serde", crates / "serde/src", crates / "rand", crates / "rand/src"):
        os.utime(folder, (0, 0))
    stage.look()
    assert names(hashed) == ["0/2/b"] and names(crates) == ["rand/src/lib.rs"]


def test_links_are_neither_entries_nor_ways(make_stage, tmp_path: Path) -> None:
    cache, other = tmp_path / "npm", tmp_path / "precious"
    stage = make_stage(cache=(lru(cache, "0 B"), lru(tmp_path / "link", "0 B")))
    fill(other, "mine", now=stage.now())
    fill(cache, "a", now=stage.now())
    (cache / "way-out").symlink_to(other)
    (tmp_path / "link").symlink_to(other)
    stage.look()
    assert names(other) == ["mine"] and [each.name for each in cache.iterdir()] == ["way-out"]
    assert "without links" in stage.caches.absent[str(tmp_path / "link")]


def test_a_cache_on_another_filesystem_has_a_trash_of_its_own(make_stage, tmp_path: Path) -> None:
    cache = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="andon-test-"))
    try:
        if cache.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("kernel: /dev/shm is no filesystem of its own")
        stage = make_stage(cache=(lru(cache, "1.5 MiB"),))
        fill(cache, "a", "b", now=stage.now())
        stage.look(2)
        (trash,) = stage.room.trashes()
        assert trash == cache / "_andon-trash" and len(list(trash.iterdir())) == 1
        assert (cache / "b").exists() and not (cache / "a").exists()
    finally:
        shutil.rmtree(cache)


def test_what_lies_on_another_machine_is_not_even_looked_at(make_stage, tmp_path: Path, monkeypatch) -> None:
    cache = tmp_path / "npm"
    stage = make_stage(cache=(lru(cache, "0 B"),))
    fill(cache, "a", now=stage.now())
    far = Mount(number=1, device="0:1", root="/", point=str(cache), kind="nfs4")
    monkeypatch.setattr(caches, "parse_mounts", lambda text: (far,))
    stage.look()
    assert names(cache) == ["a"] and "nfs4" in stage.caches.absent[str(cache)] and stage.room.caches() == {}


def test_one_with_too_many_entries_is_kept_to_no_cap_and_says_so(make_stage, tmp_path: Path, monkeypatch) -> None:
    cache = tmp_path / "npm"
    stage = make_stage(cache=(lru(cache, "0 B"),))
    fill(cache, "a", "b", "c", now=stage.now())
    monkeypatch.setattr(caches, "MOST", 2)
    stage.look()
    assert names(cache) == ["a", "b", "c"] and "more than 2 entries" in stage.why()[0]


def test_a_clock_set_forward_while_we_run_makes_nothing_old(tmp_path: Path) -> None:
    wall, up = [datetime(2026, 11, 24, tzinfo=UTC)], [1000.0]
    now = steady_time(lambda: wall[0], lambda: up[0])
    began = now()
    wall[0] += timedelta(days=365)
    up[0] += 60.0
    assert now() - began == 60.0


@pytest.fixture
def running() -> Iterator[object]:
    """A process that holds a file open; gives its pid."""
    made: list[subprocess.Popen[bytes]] = []

    def hold(path: Path) -> int:
        with path.open("rb") as file:
            made.append(subprocess.Popen(["sleep", "600"], stdin=file))
        return made[-1].pid

    yield hold
    for one in made:
        one.kill()
        one.wait()
