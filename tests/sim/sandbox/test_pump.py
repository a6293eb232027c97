"""The pump on virtual time, and the page that tells of the faults."""

import asyncio
import json
from pathlib import Path

from andon.sim.sandbox.fault_kinds import KINDS
from andon.sim.sandbox.faults import FaultSpec, Match
from andon.sim.sandbox.pump import Pump


def test_it_does_what_is_due_and_posts_what_is_ready(fleet):
    hook = fleet.hook()
    got = []

    async def deliver(url, headers, body):
        got.append((fleet.clock.monotonic(), json.loads(body)["action"]))
        if len(got) == 1:
            raise TimeoutError
        return 202

    async def story():
        pumping = asyncio.ensure_future(Pump(fleet.github, deliver).run())
        try:
            fleet.github.faults.add(FaultSpec(kind="delivery_delayed", match=Match(action="queued"), seconds=40))
            (made,) = fleet.run()
            silent = fleet.listener()
            await fleet.clock.run_for(39)
            assert got == [] and made.assignment.runner is silent.runner
            await fleet.clock.run_for(1)
            assert got == [(40, "queued")]
            await fleet.clock.run_for(20)
            assert made.assignment is None
            listener = fleet.listener()
            listener.finish(listener.take())
            await fleet.clock.run_for(0)
            assert got[1:] == [(60, "in_progress"), (60, "completed")]
        finally:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)

    asyncio.run(story())
    assert [send.status_code for send in fleet.github.hooks.log_of(hook)] == [202, 202, 504]


def test_what_becomes_due_sooner_than_the_pump_sleeps_wakes_it(fleet):
    done = []

    async def story():
        pumping = asyncio.ensure_future(Pump(fleet.github, None).run())
        try:
            timers = fleet.world.timers
            timers.at(fleet.world.after(600), lambda: done.append(fleet.clock.monotonic()))
            await fleet.clock.run_for(0)
            timers.at(fleet.world.after(1), lambda: done.append(fleet.clock.monotonic()))
            await fleet.clock.run_for(1)
            assert done == [1]
            await fleet.clock.run_for(599)
        finally:
            pumping.cancel()
            await asyncio.gather(pumping, return_exceptions=True)

    asyncio.run(story())
    assert done == [1, 600]


def test_the_page_names_every_fault():
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"| `{kind}` |" not in page] == []
