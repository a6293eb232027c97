"""Adopting and undoing, ended at any step: a runner always finds a whole `.env`, and undoing brings all back."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count as numbers
from pathlib import Path

import pytest

from andon.agent.adoption.adopting import Wanted, carry_out, plan_adoption
from andon.agent.adoption.records import Records
from andon.agent.adoption.undoing import plan_undo, undo
from andon.agent.layout import Root
from andon.agent.unfinished import clear_unfinished_files
from andon.runtime.errors import Refused
from andon.runtime.logging import logger
from tests.support.cut_short import cut_at
from tests.support.runner_folders import RunnerHome

WANTED = Wanted(host="h", interpreter=Path("/usr/bin/python3"), replace=True)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Place:
    """A runner's folder with a hook of its own, and a root to adopt it to."""

    def __init__(self, folder: Path, env: bytes | None) -> None:
        self.home = RunnerHome(folder / "runner")
        if env is not None:
            self.home.env.write_bytes(env)
            self.home.env.chmod(0o640)
        self.root = Root(path=folder / "root")
        self.root.make()
        self.records = Records(self.root)
        self.before = self.facts()

    def adopt(self) -> None:
        with self.records.locked():
            carry_out(plan_adoption(self.home.path, self.records, WANTED), self.records, WANTED, NOW)

    def undo(self) -> None:
        """Takes it back; nothing to take back is fine, too."""
        with self.records.locked():
            try:
                plan = plan_undo(self.home.path, self.records)
            except Refused:
                return
            undo(plan, self.records)

    def agent_starts(self) -> None:
        clear_unfinished_files(self.root, logger("test"))

    def facts(self) -> dict[str, tuple[object, ...]]:
        out: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.home.path.rglob("*")):
            seen = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            out[str(path)] = (seen.st_mode, seen.st_uid, seen.st_gid, content)
        return out

    def kept(self) -> list[str]:
        """What is left of it below the root."""
        folders = [each for each in (self.records.folder, self.records.hooks) if each.exists()]
        return [str(path) for folder in folders for path in folder.iterdir() if path.name != "lock"]


ENVS = {"an env": b"A=1\r\nACTIONS_RUNNER_HOOK_JOB_STARTED=/opt/own.sh", "no env": None}


@pytest.fixture(params=ENVS)
def make_place(request) -> Iterator[Callable[[], Place]]:
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("kernel: no /dev/shm to write to")
    folder = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="andon-test-"))
    names = numbers()
    yield lambda: Place(folder / str(next(names)), ENVS[request.param])
    shutil.rmtree(folder)


def all_is_back(place: Place, step: str | None) -> None:
    place.agent_starts()
    assert place.facts() == place.before, step
    assert place.kept() == [], step


@pytest.mark.parametrize("again", [True, False])
def test_an_adoption_that_was_ended(make_place, count, again):
    """Completed by the next one, or taken back as it stands."""
    for number in numbers(0, 3 // count(3)):
        place = make_place()
        cut = cut_at(number, lambda say, place=place: place.adopt())
        lines = place.home.env.read_bytes().count(b"/hooks/adopted/") if place.home.env.exists() else 0
        assert lines in (0, 2), f"{cut.step}: neither the old .env nor the new one"
        if again:
            place.agent_starts()
            place.adopt()
            assert place.home.env.read_bytes().count(b"/hooks/adopted/") == 2, cut.step
        place.undo()
        all_is_back(place, cut.step)
        if cut.step is None:
            assert number > 40, "the steps were found"
            return


def test_an_undoing_that_was_ended(make_place):
    for number in numbers():
        place = make_place()
        place.adopt()
        cut = cut_at(number, lambda say, place=place: place.undo())
        place.undo()
        all_is_back(place, cut.step)
        if cut.step is None:
            assert number > 8, "the steps were found"
            return
