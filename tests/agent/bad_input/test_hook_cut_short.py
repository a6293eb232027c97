"""A hook that is ended at every step of making a directory by itself, while no agent answers."""

import asyncio
import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import count as numbers
from pathlib import Path

import pytest

from andon.agent.hooks.orphans import read_orphans
from andon.agent.hooks.plan import HookPlan, PlannedSlot, prepare_standalone, write_plan
from andon.agent.installed_programs import install_programs
from andon.agent.layout import Root
from andon.agent.leases.place import lease_folder
from andon.agent.process_identity import boot_id
from andon.agent.slot_table import Slot
from andon.agent.workspaces.assembly import workspaces_of
from andon.model.config import Agent
from andon.model.wire import JobWord, SyncAnswer
from andon.runtime.clock import SystemClock
from andon.runtime.logging import logger
from andon.runtime.loop import Nudge
from tests.support.cut_short import cut_at

JOB = {"GITHUB_REPOSITORY": "acme/app", "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_JOB": "build"}


@pytest.fixture
def folder() -> Iterator[Path]:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("kernel: no /dev/shm to write to")
    made = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="andon-test-"))
    yield made
    for root in made.iterdir():
        shutil.rmtree(lease_folder(root, environ={}, uid=os.geteuid()), ignore_errors=True)
    shutil.rmtree(made)


def make_root(path: Path) -> Root:
    root = Root(path=path)
    root.make()
    install_programs(root, Path(sys.executable).resolve())
    prepare_standalone(root, {0: None})
    write_plan(root, HookPlan(host="h", slots={"0": PlannedSlot(export={"CARGO_HOME": "caches/cargo"})}))
    return root


def call(root: Root) -> Callable[[Callable[[str], None]], None]:
    """The started hook, as a story to be cut."""

    def story(say: Callable[[str], None]) -> None:
        os.environ.update(JOB, ANDON_SLOT="0", GITHUB_ENV=str(root.path / "env"), RUNNER_NAME="r")
        (root.path / "env").touch()
        sys.argv = [str(root.hooks / "hook.py"), "started"]
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as end:
            say(f"exit {end.code or 0}")

    return story


def cut_in_a_job(number: int, root: Root) -> str | None:
    """Where the hook was cut; the job's process above it is gone afterwards."""
    read, write = os.pipe()
    job = os.fork()
    if job == 0:
        try:
            os.write(write, (cut_at(number, call(root)).step or "").encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        step = told.read()
    os.waitpid(job, 0)
    return step or None


async def agent_comes(root: Root, boot: str) -> None:
    slots = (Slot(number=0, pool="p", command=("true",)),)
    agent = Agent(name="h", root=str(root.path))
    log = logger("test")
    async with workspaces_of(
        agent, root, slots, boot_id=boot, environ={}, changed=Nudge(), clock=SystemClock(), log=log
    ) as work:
        for _ in range(4):
            await work.keeper.look()
            # What is dead is measured before it goes.
            await work.sizes.look()
            names = [report.id for report in work.keeper.reports()]
            jobs = {name: JobWord(id=1, conclusion="success") for name in names}
            work.keeper.hear(SyncAnswer(ack=1, runs={"7": "completed"}, jobs=jobs))
        await work.emptier.look()
        assert work.keeper.reports() == ()


@pytest.mark.parametrize("reboot", [True, False])
def test_no_note_and_no_directory_of_it_stays(folder, count, reboot):
    stride, cuts = 5 // count(5), 0
    for number in numbers(0, stride):
        root = make_root(folder / str(number))
        step = cut_in_a_job(number, root)
        assert step is not None or len(read_orphans(root)[0]) == 1, "a hook that came to its end left a note"
        boot = "11111111-2222-4333-8444-555555555555" if reboot else boot_id()
        asyncio.run(agent_comes(root, boot))
        left = [path for kept in (root.orphans, root.standalone / "0", root.trash) for path in kept.iterdir()]
        assert left == [], step
        if step is None:
            break
        cuts += 1
    assert cuts > 6 // stride
