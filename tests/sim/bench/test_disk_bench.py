"""`andon bench disk` in small: what it measures is there, and nothing is left behind."""

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

import pytest

from andon.runtime.clock import SystemClock
from andon.runtime.errors import AndonError
from andon.sim.bench import disk
from andon.sim.stage import loop_filesystem


def bench(files: int = 2000, mib: int = 1024):
    told: list[str] = []
    return asyncio.run(disk.bench_disk(rounds=1, clock=SystemClock(), say=told.append, files=files, mib=mib))


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: mounting a filesystem needs root")
def test_each_kind_is_measured_and_nothing_stays(monkeypatch: pytest.MonkeyPatch):
    missing = [kind for kind, make in loop_filesystem.KINDS.items() if shutil.which(make[0]) is None]
    assert not missing, f"install what makes {missing}"
    made: list[Path] = []

    @contextlib.contextmanager
    def noted(*how: object):
        with loop_filesystem.loop_filesystem(*how) as point:
            made.append(point)
            yield point

    monkeypatch.setattr(disk, "loop_filesystem", noted)
    result = bench()
    names = [figure.name for figure in result.figures]
    for kind in loop_filesystem.KINDS:
        if f"not {kind}" not in result.conditions:
            assert sum(name.startswith(f"{kind}: ") for name in names) == 3
    assert sum(name.startswith("decision beside") for name in names) == 2
    assert all(figure.value > 0 for figure in result.figures)
    assert made and not [point for point in made if point.exists()]


def test_where_nothing_can_be_mounted_nothing_is_measured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(AndonError, match="only root may mount"):
        bench()
