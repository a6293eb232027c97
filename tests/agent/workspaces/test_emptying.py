"""The trash is emptied a minute after something went there, and what stays is said once."""

import asyncio
import subprocess
from pathlib import Path

import pytest
import structlog

from andon.agent.workspaces.emptying import UNDO_S, TrashEmptier
from andon.runtime.logging import logger
from andon.sim.virtual_time import VirtualClock


def emptier(trash: Path, clock: VirtualClock) -> TrashEmptier:
    return TrashEmptier(lambda: (trash,), clock=clock, log=logger("agent"))


@pytest.fixture
def trash(tmp_path: Path) -> Path:
    folder = tmp_path / "trash"
    folder.mkdir()
    return folder


def names(trash: Path) -> list[str]:
    return sorted(each.name for each in trash.iterdir())


def test_what_went_there_can_be_taken_back_for_a_minute(trash: Path) -> None:
    async def story() -> None:
        clock = VirtualClock()
        one = emptier(trash, clock)
        (trash / "of an earlier agent").mkdir()
        assert await one.look() is None and names(trash) == []
        (trash / "young").mkdir()
        assert await one.look() == UNDO_S
        clock.advance(UNDO_S - 1)
        (trash / "younger").mkdir()
        assert await one.look() == 1.0 and names(trash) == ["young", "younger"]
        clock.advance(1)
        assert await one.look() == UNDO_S - 1 and names(trash) == ["younger"]
        await one.close()

    asyncio.run(story())


def test_what_stays_is_said_once(trash: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = trash / "run" / "point"
    point.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(point)], capture_output=True, check=False).returncode:
        pytest.skip("kernel: only root may mount")

    async def story() -> list[str]:
        one = emptier(trash, VirtualClock())
        with structlog.testing.capture_logs() as said:
            await one.look()
            await one.look()
        await one.close()
        return [each["reason"] for each in said if each["event"] == "trash.stays"]

    try:
        assert asyncio.run(story()) == ["Something is mounted there."]
    finally:
        subprocess.run(["umount", str(point)], check=True)
