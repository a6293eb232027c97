"""A list of runs that failed is no empty list: it is said, and read again at the next pass (law 4, T6)."""

from typing import Any

from andon.github.outcomes import Failed, FailureClass
from andon.loops.sweep import Sweep
from tests.loops.test_polling import POLL_S, polling


class _WithoutSomeLists:
    """GitHub, but its list of runs that are in progress fails; notes which lists were asked for."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.asked: list[str] = []
        self.fails = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def runs(self, repository: str, status: str, **more: Any) -> Any:
        self.asked.append(status)
        if self.fails and status == "in_progress":
            return Failed(kind=FailureClass.RETRY_LATER, status=502, message="not this list")
        return await self._real.runs(repository, status, **more)


def test_a_list_by_status_that_failed_is_read_again_at_the_next_pass(play: Any) -> None:
    async def story(world: Any) -> None:
        for _ in range(31):
            # More than the newest page holds: what is older is asked for by its status.
            world.run("build")
        github = world.fleet.github = _WithoutSomeLists(world.fleet.github)
        sweep = Sweep(world.fleet)
        await sweep.run_once()
        assert [labels for name, labels in world.counted if name == "andon_sweeps_failed_total"], "it is said"
        github.fails = False
        github.asked.clear()
        await world.pass_time(POLL_S)
        await sweep.run_once()
        assert "in_progress" in github.asked and "waiting" in github.asked, "all lists, long before they are due"

    play(story, polling())
