"""Each invariant, with its violation planted: what looks for it finds it (limits.md section 7)."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from andon.sim.sandbox.records import Stage
from andon.sim.simulation.history import History
from andon.sim.simulation.invariants import after_calm, at_any_time
from andon.sim.simulation.played_host import PlayedHost
from andon.sim.simulation.simulation import Shape, Simulation
from andon.sim.simulation.trace import Trace
from andon.store.transaction import Tx
from tests.sim.simulation.on_stage import on_stage

SMALL = Shape(hosts=2, slots=2)


def _line(before: str | None, after: str, *, claim: str = "clm_1") -> dict[str, Any]:
    return {
        "actor": "loop:dispatch",
        "kind": f"claim.{after}",
        "subject_kind": "claim",
        "subject_id": claim,
        "from_state": before,
        "to_state": after,
        "reason": "planted",
        "job_id": 7,
    }


class _Planted:
    def __init__(self, *lines: Mapping[str, Any]) -> None:
        self.lines = lines


def _history(*transactions: _Planted, cap: int | None = None) -> list[str]:
    found: list[str] = []
    history = History(lambda: 0.0, found.append, Trace(lambda: 0.0), shared=False, cap=cap)
    for each in transactions:
        history.committed("control", cast("Tx", each))
    return found


def test_a_claim_that_goes_its_way_is_fine() -> None:
    way = ("reserved", "minted", "launched", "registered", "busy", "settled")
    moves = [_line(before, after) for before, after in zip((None, *way), way, strict=False)]
    assert not _history(*[_Planted(each) for each in moves])


def test_i3_a_claim_that_ends_twice() -> None:
    found = _history(_Planted(_line(None, "reserved"), _line("reserved", "released"), _line("released", "released_")))
    assert ["I3" in each for each in found] == [True]


@pytest.mark.parametrize(
    "lines",
    [
        (_line(None, "reserved"), _line("minted", "launched")),
        (_line(None, "reserved"), _line("reserved", "busy")),
        (_line(None, "minted"),),
    ],
)
def test_i4_a_claim_that_leaves_its_table(lines: tuple[dict[str, Any], ...]) -> None:
    found = _history(_Planted(*lines))
    assert ["I4" in each for each in found] == [True]


def test_i5_one_claim_too_many_at_one_commit() -> None:
    one, two = _line(None, "reserved"), _line(None, "reserved", claim="clm_2")
    assert any("I5" in each for each in _history(_Planted(one), _Planted(two), cap=1))
    freed = _Planted(_line("reserved", "released"), two)
    assert not _history(_Planted(one), freed, cap=1)


def test_i1_a_job_that_nobody_serves() -> None:
    async def story(fleet: Simulation) -> list[str]:
        await fleet.replica.end()
        fleet.run([10.0])
        await fleet.pass_time(30.0)
        return list(after_calm(fleet))

    assert any("I1" in each and "still queued" in each for each in on_stage(story, SMALL))


def test_i2_a_runner_that_served_two_jobs_and_i12_a_call_too_early() -> None:
    async def story(fleet: Simulation) -> list[str]:
        jobs = fleet.run([5.0])
        await fleet.until("the job is over", lambda: fleet.is_over(*jobs), 60)
        assert not list(at_any_time(fleet))
        next(each for each in fleet.github.world.runners.values() if each.served).served.append(1)
        fleet.github.limits.too_early.append({"planted": True})
        fleet.github.limits.overdrawn.append({"planted": True})
        return list(at_any_time(fleet))

    found = on_stage(story, SMALL)
    assert sum("I2" in each for each in found) == 1
    assert sum("I12" in each for each in found) == 2


def test_i2_two_live_configs_for_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the runner of the claim that was given up still listened."""
    shown: list[str] = []

    def unused(host: PlayedHost) -> list[str]:
        return shown if host.name == "host-0" else []

    monkeypatch.setattr(PlayedHost, "unused_configs", unused)

    async def story(fleet: Simulation) -> list[str]:
        for host in fleet.hosts.values():
            host.starts_fail = 1.0
        (job,) = fleet.run([30.0])
        await fleet.until("a runner ended", lambda: bool(fleet.deaths), 30)
        for host in fleet.hosts.values():
            host.starts_fail = 0.0
        await fleet.until("the job runs", lambda: fleet.job(job).stage is Stage.IN_PROGRESS, 60)
        second = fleet.live_claims()[0]
        assert second.job_id == job
        assert not list(at_any_time(fleet))
        shown.extend((fleet.deaths[0].claim, second.id))
        return list(at_any_time(fleet))

    assert [each[:2] for each in on_stage(story, SMALL)] == ["I2"]


def test_the_shortened_trace_begins_with_what_broke() -> None:
    trace = Trace(lambda: 0.0)
    trace.note("control", "claim.reserved", of="clm_a1", job=480000001)
    trace.note("control", "claim.reserved", of="clm_b2", job=480000002)
    trace.note("host-0", "runner.ended", claim="clm_a1")
    for at in range(500):
        trace.note("control", "noise", at=at)
    shown = trace.about(["I1: job 480000001 is still queued"])
    assert "clm_a1 job=480000001" in shown[0]
    assert "runner.ended claim=clm_a1" in shown[1]
    assert shown[2] == "..."
    assert not any("clm_b2" in line for line in shown)
    assert "at=499" in shown[-1]
