"""R4, R27 and I13 are measured against GitHub's truth; with its protection taken out each is found broken."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from andon.model.nouns import Claim
from andon.sim.simulation.bounds import IDLE, LOST, SILENT, TOLD, UNTOLD, Bound
from andon.sim.simulation.processes import Process
from andon.sim.simulation.simulation import Shape, Simulation
from andon.sim.simulation.troubles import Troubles
from andon.sim.simulation.watch import Watch
from andon.store.transaction import Tx
from tests.sim.simulation.on_stage import on_stage

SMALL = Shape(hosts=2, slots=2)


async def _watched(
    fleet: Simulation, seconds: float, act: Callable[[Simulation], None]
) -> tuple[list[str], dict[str, Bound]]:
    """One job, what `act` does three seconds into it, and what a watch of so long finds."""
    watch = Watch(fleet)
    process = Process("watching")
    process.start(watch.run())
    fleet.run([30.0])
    await fleet.pass_time(3.0)
    act(fleet)
    await fleet.pass_time(seconds)
    await process.end()
    return list(watch.found), watch.bounds


def _nothing(fleet: Simulation) -> None:
    del fleet


def _starts_go_well(fleet: Simulation) -> None:
    for host in fleet.hosts.values():
        host.starts_fail = host.starts_hang = 0.0


def _played(
    seconds: float, before: Callable[[Simulation], None], act: Callable[[Simulation], None] = _nothing
) -> tuple[list[str], dict[str, Bound]]:
    async def story(fleet: Simulation) -> tuple[list[str], dict[str, Bound]]:
        before(fleet)
        return await _watched(fleet, seconds, act)

    return on_stage(story, SMALL)


def _fail(fleet: Simulation) -> None:
    for host in fleet.hosts.values():
        host.starts_fail = 1.0


def _hang(fleet: Simulation) -> None:
    for host in fleet.hosts.values():
        host.starts_hang = 1.0


def _untold(fleet: Simulation) -> None:
    fleet.fault(kind="delivery_never_created", count=2)


async def _nobody(self: object) -> None:
    del self


def test_a_known_end_is_measured() -> None:
    found, bounds = _played(60.0, _fail, _starts_go_well)
    assert not found
    assert bounds[TOLD].measured
    assert bounds[TOLD].worst_s <= 30.0


def test_no_evidence_is_measured() -> None:
    found, bounds = _played(300.0, _hang, _starts_go_well)
    assert not found
    assert 100.0 < bounds[SILENT].worst_s <= 240.0


def test_a_lost_delivery_is_measured() -> None:
    found, bounds = _played(240.0, _untold)
    assert not found
    assert 20.0 < bounds[UNTOLD].worst_s <= 180.0


def test_a_lost_end_report_is_measured() -> None:
    async def story(fleet: Simulation) -> tuple[list[str], dict[str, Bound]]:
        watch = Watch(fleet)
        process = Process("watching")
        process.start(watch.run())
        (job,) = fleet.run([30.0])
        for each in fleet.hosts.values():
            each.starts_hang = 1.0
        await fleet.until("a runner was started", lambda: any(each.live_claims() for each in fleet.hosts.values()), 10)
        host = next(each for each in fleet.hosts.values() if each.live_claims())
        _starts_go_well(fleet)
        fleet.deaths.clear()
        await host.lose_a_runner(host.live_claims()[0])
        await fleet.until("the job runs on another runner", lambda: fleet.runs(job), 60)
        await fleet.pass_time(20.0)
        await process.end()
        return [*watch.found, *fleet.violations], watch.bounds

    found, bounds = on_stage(story, SMALL)
    assert not found
    assert bounds[LOST].measured == 1
    assert bounds[LOST].worst_s <= 60.0


def test_a_rescue_that_never_comes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.loops.claims.ClaimDeadlines.run_once", _nobody)
    found, _ = _played(300.0, _hang, _starts_go_well)
    assert any(each.startswith(SILENT) for each in found)


def test_a_known_end_that_nobody_acts_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody_asks(tx: Tx, claim: Claim, *, delay: timedelta = timedelta(0)) -> None:
        del tx, claim, delay

    monkeypatch.setattr("andon.store.doubt.ask", nobody_asks)
    found, _ = _played(55.0, _fail, _starts_go_well)
    assert any(each.startswith(TOLD) for each in found)


def test_a_delivery_that_nobody_misses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.loops.sweep.Sweep.run_once", _nobody)
    found, _ = _played(220.0, _untold)
    assert any(each.startswith(UNTOLD) and "I1" in each for each in found)


def test_a_job_that_waits_beside_free_slots_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.loops.dispatch.Dispatch.run_once", _nobody)
    found, _ = _played(90.0, _nothing)
    assert any(each.startswith(IDLE) and "I13" in each for each in found)


def test_a_fault_in_force_excuses_its_own_time_and_no_more() -> None:
    now = [0.0]
    troubles = Troubles(lambda: now[0])
    now[0] = 100.0
    one = troubles.begin("agent_cut", "host-0")
    now[0] = 130.0
    troubles.end(one)
    assert troubles.clear_seconds(50.0, 300.0, "host-0") == 50.0 + 130.0
    assert troubles.clear_seconds(50.0, 300.0, "host-1") == 250.0
    assert troubles.during(50.0, 90.0, "host-0") == ()
    now[0] = 200.0
    two = troubles.begin("github_cut")
    now[0] = 240.0
    troubles.end(two)
    # Pauses have doubled meanwhile: 40 s more, and the usual 40.
    assert troubles.clear_seconds(190.0, 400.0, "host-1") == 10.0 + 80.0
