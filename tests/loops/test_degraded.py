"""What degraded conditions promise, with a claim in every state: no quota, a GitHub that fails, a host that is
away (R8, R28, R30, R86; docs/degraded.md)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from andon.loops.budgets import KeepBudgets
from andon.loops.hosts import HostLiveness
from andon.model.claim_states import ClaimState
from andon.model.degraded import DegradedCode
from andon.model.host_states import HostObserved
from andon.model.why import Why
from andon.rules.degraded import Facts, conditions
from andon.sim.sandbox.rate_limits import Limits
from andon.sim.sandbox.run_spec import JobSpec, RunSpec
from andon.sim.virtual_time import VirtualClock
from andon.store import budgets, hosts, job_views, journal
from andon.store.apply_news import apply_job_news
from andon.store.apply_sync import wishes
from andon.store.transaction import Store
from tests.loops.flight import STATES, Flight
from tests.support.builders import LABELS, job_news

DATABASES = ("sqlite",)
"""What is promised here is decided above the database."""


def in_flight(store: Store, clock: VirtualClock, story: Callable[[Flight], Awaitable[None]]) -> None:
    async def main() -> None:
        flight = Flight(store, clock)
        try:
            await flight.start()
            assert await flight.states() == STATES
            await story(flight)
        finally:
            await flight.world.close()

    asyncio.run(main())


async def go_on(flight: Flight, minutes: float, *, step_s: float = 30.0, host: bool = True) -> None:
    """Every loop runs at its times; the host reports, and its runners do nothing new."""
    world, keep = flight.world, KeepBudgets(flight.world.fleet)
    liveness = HostLiveness(world.fleet)
    for _ in range(int(minutes * 60 / step_s)):
        await world.pass_time(step_s)
        for played in flight.host.slots.values():
            if played is not None and played.runner is not None and played.job is not None:
                # Its runner keeps the job, as long as it runs.
                world.github.execution.renew(played.runner, played.job.id)
        await world.deliver()
        await world.sweep()
        await world.dispatch()
        await world.act()
        await world.deadlines()
        await keep.run_once()
        await liveness.run_once()
        if host:
            await flight.sync()


async def why(flight: Flight, name: str) -> Why:
    job = await flight.world.job(flight.jobs[name])
    assert job is not None

    def work(connection: Any) -> Why:
        around = job_views.surroundings(connection, flight.world.config, flight.world.clock.now())
        return job_views.explain_job(connection, job, around)

    return await flight.world.store.read(work)


async def degraded(flight: Flight) -> list[DegradedCode]:
    """The conditions that a board would show, from the store and from what GitHub said."""
    found = await flight.world.store.read(budgets.degraded)
    now = flight.world.clock.now()
    return [each.code for each in conditions(Facts(now=now, budgets=found, api=flight.world.fleet.github.health()))]


async def kinds_of(flight: Flight, name: str) -> list[str]:
    story = await flight.world.store.read(lambda connection: journal.story_of_job(connection, flight.jobs[name]))
    return [line.entry.kind for line in story]


async def stops(flight: Flight) -> int:
    now = flight.world.clock.now()
    wish = await flight.world.store.read(
        lambda connection: wishes(connection, "host-a", now=now, ack=1, resync=False, policy={})
    )
    return len(wish.stop)


def calls(flight: Flight) -> int:
    return sum(flight.world.github.truth()["calls"].values())


def test_with_no_quota_left_nothing_is_asked_and_everything_else_goes_on(store: Store, clock: VirtualClock) -> None:
    async def story(flight: Flight) -> None:
        world = flight.world
        for window in world.github.limits._windows.values():
            # Somebody else with the same credential used it up.
            window.used = Limits().core - 1
        await go_on(flight, 0.5)
        asked = calls(flight)
        assert DegradedCode.GITHUB_BUDGET in await degraded(flight)
        # A webhook comes, and is decided on.
        made = world.github.create_run(RunSpec(repository="acme/app", jobs=(JobSpec(name="late", labels=LABELS),)))
        (flight.jobs["late"],) = made["jobs"]
        news = job_news(made["jobs"][0], run_id=made["run_id"], created_at=clock.now(), order_at=clock.now())
        await world.store.write(lambda tx: apply_job_news(tx, news, world.config))
        await go_on(flight, 20)
        assert calls(flight) == asked, "not one call"
        after = await flight.states()
        assert after["busy"] == "busy"
        # A look that is due and cannot be had leaves a claim in doubt, and no more than that.
        for name in ("orphaned", "registered", "launched", "minted"):
            assert after[name] in ("launched", "registered", "orphaned"), (name, after)
            assert "claim.released" not in await kinds_of(flight, name), name
        assert await stops(flight) == 0
        waits = await why(flight, "reserved")
        assert waits.cause == "rate_limited" and waits.facts["until"] is not None, waits
        assert (await why(flight, "late")).cause in ("rate_limited", "degraded")
        assert DegradedCode.GITHUB_BUDGET in await degraded(flight)
        # GitHub's window ends, and with it the wait.
        await go_on(flight, 41, step_s=60)
        await flight.to_the_end()
        await KeepBudgets(world.fleet).run_once()
        assert await degraded(flight) == []
        assert world.github.limits.truth()["calls_over_limit"] == []

    in_flight(store, clock, story)


def test_a_storm_of_5xx_rescues_and_removes_nothing(store: Store, clock: VirtualClock) -> None:
    async def story(flight: Flight) -> None:
        world = flight.world
        there = world.registrations()
        world.fault(kind="api_error", match={"endpoint": "*"}, status=502, count=None)
        await go_on(flight, 20)
        assert DegradedCode.GITHUB_DOWN in await degraded(flight)
        assert world.registrations() == there, "no registration is taken away"
        assert await stops(flight) == 0
        after = await flight.states()
        assert "claim.released" in await kinds_of(flight, "reserved"), "what nobody mints goes back to the queue"
        assert after.pop("reserved") in ("none", "reserved"), "and is tried again from there, every two minutes at most"
        for name in ("busy", "orphaned", "registered", "launched", "minted"):
            assert "claim.released" not in await kinds_of(flight, name), name
            assert after[name] in (name, "launched", "registered", "orphaned"), (name, after)
        assert after["busy"] == "busy"
        world.github.faults.clear()
        await flight.to_the_end()
        assert await degraded(flight) == []
        assert len(flight.host.started) == len(set(flight.host.started))

    in_flight(store, clock, story)


def test_a_host_that_is_away_keeps_its_job_and_its_report(store: Store, clock: VirtualClock) -> None:
    async def story(flight: Flight) -> None:
        world = flight.world
        busy = await world.the_claim(flight.jobs["busy"])
        await go_on(flight, 3, step_s=10, host=False)
        host = await world.store.read(lambda connection: hosts.get_host(connection, "host-a"))
        assert host is not None and host.observed is HostObserved.SILENT
        assert (await world.claim(busy.id)).state is ClaimState.BUSY
        waits = await why(flight, "queued")
        assert (waits.cause, waits.facts["closed"]) == ("no_runner", {"silent": 8}), "its slots are no capacity"
        # Its runner ends the job without anybody: the report is kept until it is taken.
        world.clock.advance(60)
        flight.host.step()
        assert not flight.host.quiet
        await go_on(flight, 1)
        settled = await world.claim(busy.id)
        assert (settled.state, settled.exit) == (ClaimState.SETTLED, 0)
        await flight.to_the_end()
        assert len(flight.host.started) == len(set(flight.host.started))
        assert settled.ended_at is not None and settled.ended_at < clock.now() - timedelta(seconds=20)

    in_flight(store, clock, story)
