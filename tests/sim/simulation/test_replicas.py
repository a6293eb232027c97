"""Two control planes on one database, one of them paused for a minute: what it decided before changes nothing
afterwards (limits.md 6, row 12)."""

import pytest

from andon.loops.leadership import Leadership
from andon.sim.simulation.simulation import Shape, Simulation
from andon.store.leases import Lease
from andon.store.transaction import Tx
from tests.sim.simulation.on_stage import on_stage

TWO = Shape(hosts=1, slots=2, replicas=2)


async def _pause_the_leader(fleet: Simulation) -> tuple[list[str], list[str]]:
    """Jobs before, while and after the first leader stands still; gives what was violated, and the log lines."""
    (first,) = fleet.run([20.0])
    await fleet.until("the first job runs", lambda: fleet.runs(first), 30)
    # Enough work waits that the leader has something to decide at every moment.
    more = [job for _ in range(8) for job in fleet.run([20.0])]
    await fleet.pass_time(1.0)
    fleet.replicas["control-0"].stop()
    await fleet.pass_time(60.0)
    fleet.replicas["control-0"].go_on()
    await fleet.until("every job is over", lambda: fleet.is_over(first, *more), 400)
    await fleet.pass_time(60.0)
    return fleet.violations, list(fleet.trace.last)


def _leaders(trace: list[str]) -> list[str]:
    return [line.split()[1] for line in trace if "leadership.changed leads=True" in line]


def test_the_other_takes_over_and_the_stale_leader_changes_nothing() -> None:
    violations, trace = on_stage(_pause_the_leader, TWO)
    assert not violations
    assert _leaders(trace) == ["control-0", "control-1"]
    assert any("control-0 leadership.changed leads=False" in line for line in trace)


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever led once believes that it leads for ever."""
    had: dict[int, Lease] = {}

    def lease(self: Leadership) -> Lease | None:
        if (now := self._lease) is not None:  # pyright: ignore[reportPrivateUsage]
            had[id(self)] = now
        return had.get(id(self))

    monkeypatch.setattr(Leadership, "lease", lease)


@pytest.mark.usefixtures("trusting")
def test_the_database_refuses_a_leader_that_trusts_its_lease_for_ever() -> None:
    violations, trace = on_stage(_pause_the_leader, TWO)
    assert not violations
    assert any("control-0 loop.fenced" in line for line in trace), "it tried, and was refused"


@pytest.mark.usefixtures("trusting")
def test_without_the_fence_the_stale_write_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def passes(tx: Tx, lease: Lease) -> None:
        del tx, lease

    monkeypatch.setattr("andon.store.leases.check", passes)
    violations, _ = on_stage(_pause_the_leader, TWO)
    assert any("a stale write: control-0" in each for each in violations)
