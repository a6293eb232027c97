"""The knock is reached by waiting as long as it says, whatever the clock's floats round to: no pass is repeated for
ever in one moment."""

import asyncio
from random import Random
from types import SimpleNamespace
from typing import Any

from andon.github.outcomes import Failed, FailureClass
from andon.loops.liveness_knock import Knock
from tests.support.builders import START


class _Clock:
    """A monotonic clock that moves as it is told."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> Any:
        return START


def test_a_few_waits_lead_to_the_next_question(count: Any) -> None:
    chance = Random(3)

    async def story(clock: _Clock) -> int:
        asked = 0

        async def knock(place: object) -> Failed:
            nonlocal asked
            asked += 1
            return Failed(kind=FailureClass.RETRY_LATER, status=None, message="away")

        fleet: Any = SimpleNamespace(
            lease=lambda: object(),
            clock=clock,
            repositories=lambda: ("acme/app",),
            scope=lambda owner, name: (owner, name),
            github=SimpleNamespace(health=lambda: SimpleNamespace(failing_since=START), knock=knock),
        )
        loop, passes = Knock(fleet), 0
        await loop.run_once()
        clock.seconds += chance.random() * 8
        while asked < 2 and passes < 10:
            clock.seconds += await loop.run_once() or 0.0
            passes += 1
        return passes

    for _ in range(count(20_000)):
        assert asyncio.run(story(_Clock(chance.random() * 10_000))) <= 4
