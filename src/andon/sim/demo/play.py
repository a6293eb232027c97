"""The demo: a whole fleet as real processes, and real jobs on it, round after round.

Whatever it starts it ends, runners included, whether it is ended by Ctrl-C or by a fault.
"""

import asyncio
from pathlib import Path

from andon.rules.listen_address import ListenAddress
from andon.runtime.clock import Clock
from andon.sim.demo.repository import make_repository
from andon.sim.demo.round import Round
from andon.sim.demo.runs import demo_runs
from andon.sim.stage.fleet import Plan, Say, StagedFleet
from andon.sim.stage.folder import POOL_LABELS, empty, held

_ROUND_S = 60.0
"""A new round comes this long after the one before ended."""
_PATIENCE_S = 120.0
_PLAN = Plan()


async def run_demo(
    folder: Path, *, listen: ListenAddress, once: bool, say: Say, clock: Clock, stop: asyncio.Event
) -> bool:
    """Runs the demo in `folder` until `stop`, or with `once` until its first round is over.

    `folder` is absolute. True: every job that ended did so as it was meant to. Raises Refused for
    a folder that is not a demo's, and AndonError when a part of the demo fails.
    """
    with held(folder):
        began = clock.monotonic()
        demo = _Demo(folder, say=lambda text: say(f"{clock.monotonic() - began:6.1f} s  {text}"), clock=clock)
        await demo.fleet.clear()
        empty(folder)
        playing = asyncio.ensure_future(demo.play(listen, once=once))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return playing.result() if playing.done() else demo.as_expected
        finally:
            playing.cancel()
            stopping.cancel()
            await asyncio.gather(playing, stopping, return_exceptions=True)
            await demo.end()


class _Demo:
    """One demo: its fleet, and the rounds of runs on it."""

    def __init__(self, folder: Path, *, say: Say, clock: Clock) -> None:
        self.as_expected = True
        self.fleet = StagedFleet(folder, _PLAN, say=say, clock=clock)
        self._folder, self._say, self._clock = folder, say, clock

    async def play(self, listen: ListenAddress, *, once: bool) -> bool:
        """Starts everything and posts runs; returns only with `once`."""
        say, fleet = self._say, self.fleet
        repository = await asyncio.to_thread(make_repository, self._folder / "repository")
        await fleet.start(listen)
        github, board = fleet.github(), fleet.board()
        bodies = demo_runs(repository, name=_PLAN.repository, labels=POOL_LABELS)
        while True:
            this = Round(board, github, say=say, clock=self._clock, check=fleet.check)
            await this.post(bodies)
            await this.follow(patience_s=_PATIENCE_S)
            self.as_expected = self.as_expected and this.as_expected
            say("All jobs ended as they were meant to." if this.as_expected else "Not all jobs ended as meant.")
            if once:
                return this.as_expected
            say(
                f"The next round comes in {_ROUND_S:g} s; the board stays at {fleet.board_url}. Ctrl-C ends everything."
            )
            await self._rest(_ROUND_S)

    async def _rest(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            self.fleet.check()
            await self._clock.sleep(1.0)

    async def end(self) -> None:
        """Ends everything that was started."""
        started = bool(self.fleet.agents or self.fleet.servers)
        if started:
            self._say("Ending what was started ...")
        await self.fleet.end()
        if started:
            self._say("All of it has ended.")
