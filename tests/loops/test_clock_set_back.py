"""A clock that ran ahead and was set back leaves no wait as long as it was ahead (limits.md 6, row 8)."""

from datetime import timedelta
from typing import Any

from andon.loops.claims import ClaimDeadlines
from andon.model.claim_states import CLAIMS, ClaimState
from andon.store import claims, pauses
from tests.support.minted_runners import minted

AHEAD = timedelta(hours=1)


async def _ahead(world: Any, monkeypatch: Any, by: timedelta) -> None:
    """From now on the world's clock shows another time of day; what it counts goes on."""
    shown = type(world.clock).now
    monkeypatch.setattr(world.clock, "now", lambda: shown(world.clock) + by)
    await world.pass_time(0)


def test_waits_of_a_clock_that_ran_ahead_end_soon_after_it_is_right_again(play: Any, monkeypatch: Any) -> None:
    async def story(world: Any) -> None:
        loop = ClaimDeadlines(world.fleet)
        await _ahead(world, monkeypatch, AHEAD)
        await loop.run_once()
        (claim,) = await minted(world, "a")
        await world.store.write(lambda tx: pauses.pause(tx, "acme", reason="no way to GitHub"))
        assert claim.deadline > world.clock.now(), "dated by the clock that is ahead"
        await _ahead(world, monkeypatch, timedelta(0))
        await loop.run_once()
        now = world.clock.now()
        (pause,) = await world.store.read(pauses.pauses)
        assert pause.until <= now + pauses.LONGEST
        found = await world.store.read(lambda connection: claims.get_claim(connection, claim.id))
        longest = CLAIMS.limit(ClaimState.REGISTERED) + timedelta(minutes=10)
        assert found.state is claim.state and now < found.deadline <= now + longest, "no earlier than its rule either"

    play(story)


def test_a_clock_that_is_only_kept_in_step_changes_nothing(play: Any, monkeypatch: Any) -> None:
    async def story(world: Any) -> None:
        (claim,) = await minted(world, "a")
        loop = ClaimDeadlines(world.fleet)
        await _ahead(world, monkeypatch, timedelta(seconds=-5))
        await loop.run_once()
        found = await world.store.read(lambda connection: claims.get_claim(connection, claim.id))
        assert found == claim

    play(story)
