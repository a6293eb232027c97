"""Benchmark "agent": what an agent costs its host while nothing happens, with empty slots and with runners that wait.

Two real agents at once, each with sixteen slots and a control plane of its own that is played and has no news:
one has no runner, the other has one on every slot that waits for a job. What they do is what an idle agent does:
it asks for orders, looks whether its runners live, and keeps its leases. Processor time is the kernel's count.
"""

from collections.abc import Callable

from andon.model.wire import HOLD_SECONDS
from andon.runtime.clock import Clock
from andon.runtime.errors import AndonError
from andon.sim.bench.figures import Figure, Result
from andon.sim.bench.memory import resident_mib
from andon.sim.bench.processor import busy, cpu_seconds
from andon.sim.stage.agent import StagedAgent, staged_agent

SLOTS = 16
CORE_PERCENT = 0.5
MIB = 60.0
_WAITING = ("sh", "-c", 'touch "$ACTIONS_RUNNER_INPUT_JITCONFIG"; exec sleep 100000')
_SETTLED_S = 15.0


async def bench_agent(
    *, minutes: float, clock: Clock, say: Callable[[str], None], settled_s: float = _SETTLED_S
) -> Result:
    """Watches both for `minutes`, once what follows a start is over."""
    load = busy()
    async with (
        staged_agent(slots=SLOTS, command=_WAITING, clock=clock, held_s=HOLD_SECONDS) as empty,
        staged_agent(slots=SLOTS, command=_WAITING, clock=clock, held_s=HOLD_SECONDS) as full,
    ):
        for slot in range(SLOTS):
            full.claim(slot, str(full.folder / f"up-{slot}"))
        full.control.tell()
        for slot in range(SLOTS):
            await full.written(f"up-{slot}")
        await clock.sleep(settled_s)
        agents = {"empty slots": empty, "waiting runners": full}
        before = {name: cpu_seconds(agent.process.pid) for name, agent in agents.items()}
        began = clock.monotonic()
        while (spent := clock.monotonic() - began) < minutes * 60:
            await clock.sleep(min(60.0, minutes * 60 - spent))
            say(f"{(clock.monotonic() - began) / 60:.1f} of {minutes:g} minutes")
        spent = clock.monotonic() - began
        figures = [one for name, agent in agents.items() for one in _of(name, agent, before[name], spent)]
    return Result(bench="agent", conditions=f"{SLOTS} slots each, {minutes:g} minutes, {load}", figures=tuple(figures))


def _of(name: str, agent: StagedAgent, before: float, spent: float) -> tuple[Figure, Figure]:
    if agent.process.ended:
        raise AndonError(agent.process.obituary())
    percent = (cpu_seconds(agent.process.pid) - before) / spent * 100
    return (
        _one(f"{name}, of a core", percent, "%", CORE_PERCENT),
        _one(f"{name}, memory", resident_mib(agent.process.pid), "MiB", MIB),
    )


def _one(name: str, value: float, unit: str, bound: float) -> Figure:
    return Figure(name=name, value=value, unit=unit, low=value, high=value, bound=bound, at_least=False)
