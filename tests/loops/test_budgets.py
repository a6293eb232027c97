"""Quotas at GitHub are written down, shown, and taken over by who leads next (R8)."""

from datetime import timedelta
from typing import Any

from andon.loops.budgets import KeepBudgets
from andon.store import budgets, journal


async def limited(world: Any) -> None:
    """GitHub refuses a call, and names a time."""
    world.run("build")
    world.fault(kind="api_rate_limited", seconds=600, count=1)
    await world.sweep()


def test_a_limit_is_shown_on_every_board_and_its_end_is_told(play: Any) -> None:
    async def story(world: Any) -> None:
        keep = KeepBudgets(world.fleet)
        await keep.run_once()
        assert await world.store.read(budgets.degraded) == []
        await limited(world)
        await keep.run_once()
        (held,) = await world.store.read(budgets.degraded)
        assert held.until is not None and held.degraded
        await world.pass_time(700)
        await world.sweep()
        await keep.run_once()
        assert await world.store.read(budgets.degraded) == []
        lines = await world.store.read(lambda connection: journal.newest(connection, 500))
        told = [line.entry.kind for line in reversed(lines) if line.entry.kind.startswith("github.")]
        assert told == ["github.degraded", "github.recovered"]

    play(story)


def test_who_leads_next_sends_nothing_inside_a_pause_that_its_predecessor_was_told(play: Any) -> None:
    async def story(world: Any) -> None:
        await limited(world)
        await KeepBudgets(world.fleet).run_once()
        asked = sum(world.calls.values())
        successor = world.another_process()
        await KeepBudgets(world.fleet).take_over()
        await world.sweep()
        assert sum(world.calls.values()) == asked
        assert successor.budgets()[0].degraded is not None

    play(story)


def test_a_pause_that_a_clock_ahead_wrote_down_is_no_longer_for_who_leads_next(play: Any, monkeypatch: Any) -> None:
    async def story(world: Any) -> None:
        shown = type(world.clock).now
        with monkeypatch.context() as ahead:
            ahead.setattr(world.clock, "now", lambda: shown(world.clock) + timedelta(hours=1))
            await world.pass_time(0)
            await limited(world)
            await KeepBudgets(world.fleet).run_once()
            told = world.fleet.github.budgets()
        for _ in range(2):
            successor = world.another_process()
            await KeepBudgets(world.fleet).take_over()
            await KeepBudgets(world.fleet).run_once()
        (held,) = successor.budgets()
        left = held.until - world.clock.now()
        assert timedelta(seconds=598) <= left <= timedelta(seconds=600), "as long as GitHub asked for (I12)"
        assert held.degraded == told[0].degraded, "and it is said in the same words"
        await world.pass_time(601)
        asked = sum(world.calls.values())
        await world.sweep()
        assert sum(world.calls.values()) > asked

    play(story)


def test_what_was_written_down_earlier_gives_no_quota_back(play: Any) -> None:
    async def story(world: Any) -> None:
        await world.sweep()
        await KeepBudgets(world.fleet).run_once()
        for _ in range(5):
            await world.fleet.github.newest_runs("acme/app", 7)
        before = world.fleet.github.budgets()[0].remaining
        await KeepBudgets(world.fleet).take_over()
        assert world.fleet.github.budgets()[0].remaining == before

    play(story)
