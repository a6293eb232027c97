"""A dead directory with a million files under a whole agent: it goes by one rename, and hooks are answered while it is
deleted (host-facts.md 1.4, 2.6)."""

import asyncio
import os
from pathlib import Path

import pytest

from andon.agent.sockets import ask_agent
from andon.model.wire import JobWord
from andon.runtime.clock import SystemClock
from andon.sim.drills.on_host.host_drill import staged_on
from tests.support.loop_filesystems import loop_filesystem

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: mounting a filesystem needs root")
IN_A_FOLDER = 10_000
WRITES = 'echo "$ANDON_WORKSPACE" > "$DRILL/{0}.path"'


def make_files(folder: Path, many: int) -> None:
    for first in range(0, many, IN_A_FOLDER):
        here = folder / f"d{first}"
        here.mkdir()
        top = os.open(here, os.O_RDONLY)
        try:
            for number in range(min(IN_A_FOLDER, many - first)):
                os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY, dir_fd=top))
        finally:
            os.close(top)


def test_it_goes_and_nobody_waits_for_it(count) -> None:
    many = count(1_000_000, test=20_000)

    async def story(disk: Path) -> None:
        async with staged_on(disk, SystemClock()) as stage:
            stage.begin("large", WRITES.format("large"))
            path = Path(await stage.said("large.path"))
            await stage.until(lambda: "clm_large" in stage.control.ends, "its runner ends")
            await asyncio.to_thread(make_files, path, many)
            stage.control.jobs[path.name] = JobWord(id=1, conclusion="success")
            stage.control.runs["7"] = "completed"
            await stage.until(lambda: stage.hears() and not path.exists(), "it is put aside", 90.0)
            trashed = len(os.listdir(stage.root.trash))  # noqa: PTH208
            assert trashed == 1
            await asyncio.to_thread(ask_agent, stage.root.socket, {"v": 1, "disk": "sweep"})
            # While it is deleted, job after job begins.
            jobs = 0
            while os.listdir(stage.root.trash) or not jobs:  # noqa: PTH208
                jobs += 1
                stage.begin(f"next-{jobs}", WRITES.format(f"next-{jobs}"), slot=jobs % 2, run=100 + jobs)
                await stage.said(f"next-{jobs}.path")
                await stage.until(lambda jobs=jobs: f"clm_next-{jobs}" in stage.control.ends, "it ends")
            assert os.statvfs(disk).f_files - os.statvfs(disk).f_ffree < 2000, "its inodes are free"

    # So many inodes that they are no reason to refuse a job.
    with loop_filesystem("ext4", 3000, "-N", str(2 * many + 5000)) as disk:
        asyncio.run(story(disk))
