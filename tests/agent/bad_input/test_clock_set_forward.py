"""The host's clock is set forward by a year, and back, under a whole agent: ages are counted since boot (host-facts.md
2.6), so nothing that lives goes, and what is kept for a day is kept for a day."""

import asyncio
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from andon.model.wire import JobWord
from andon.runtime.clock import SystemClock
from andon.sim.drills.on_host.host_drill import Stage, staged

YEAR = timedelta(days=365)
WRITES = (
    'mkdir "$ANDON_WORKSPACE/target"; echo x > "$ANDON_WORKSPACE/target/o"; echo "$ANDON_WORKSPACE" > "$DRILL/{0}.path"'
)


class SetClock(SystemClock):
    """The system's, with its wall clock set by a person."""

    def __init__(self) -> None:
        super().__init__()
        self.by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.by


async def a_failed_one(stage: Stage, name: str, run: int, conclusion: str) -> Path:
    stage.begin(name, WRITES.format(name), slot=1, run=run)
    path = Path(await stage.said(f"{name}.path"))
    await stage.until(lambda: f"clm_{name}" in stage.control.ends, f"{name} ends")
    stage.control.jobs[path.name] = JobWord(id=run, conclusion=conclusion)
    await stage.until(lambda: stage.hears() and stage.state_of(str(path)) == "dead", f"{name} is at rest")
    return path


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: the drill's hooks need root here")
@pytest.mark.parametrize("by", [YEAR, -YEAR], ids=["forward", "back"])
def test_nothing_goes_by_a_clock_that_was_set(by: timedelta) -> None:
    clock = SetClock()

    async def story() -> None:
        async with staged(clock) as stage:
            stage.begin("lives", WRITES.format("lives") + '; read -r line < "$DRILL/lives.leave"')
            lives = Path(await stage.said("lives.path"))
            kept = await a_failed_one(stage, "failed", 8, "failure")
            waits = await a_failed_one(stage, "waits", 9, "success")
            stage.control.runs |= {"7": "in_progress", "8": "completed", "9": "in_progress"}
            clock.by = by
            await stage.looks(4)
            # The agent is started anew under the clock that was set, too.
            await stage.stop_agent()
            await stage.start_agent()
            await stage.looks(4)
            for path in (lives, kept, waits):
                assert (path / "target" / "o").exists(), f"{path.name} went"
            stage.control.runs["9"] = "completed"
            await stage.until(lambda: stage.hears() and not waits.exists(), "what is over goes as ever")
            assert (kept / "target" / "o").exists() and (lives / "target" / "o").exists()
            await stage.leave("lives")
            await stage.until(lambda: stage.says("lives.result") == "0", "the live build ends well")

    asyncio.run(story())
