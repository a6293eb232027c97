"""What people push: bursts in working hours, quiet nights, short jobs and long ones, runs that need others."""

import msgspec

from andon.runtime.chance import Chance
from andon.sim.simulation.simulation import Simulation

DAY_S = 86_400.0


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs a day, all of them within `open_s` from the day's first hour on."""

    jobs_a_day: int = 400
    open_s: float = 3 * 3600.0
    mean_s: float = 240.0
    longest_s: float = 2400.0
    sizes: tuple[int, ...] = (1, 1, 2, 3, 4, 6)
    """How many jobs a run has, one as likely as the other."""
    cancelled: float = 0.03
    """How many of the runs are cancelled on their way."""

    def job_s(self, chance: Chance) -> float:
        """How long a job runs: many short ones and a few long ones."""
        return min(self.longest_s, max(5.0, chance.lognormvariate(0.0, 1.0) * self.mean_s * 0.6))


WORKLOAD = Workload()
BUSY_HOUR = Workload(open_s=3600.0, mean_s=60.0, longest_s=600.0, sizes=(2, 4, 6, 8, 12))
"""A whole day's jobs within an hour, in matrices of short jobs: the fleet is at its limit most of the time. For
years: what a day costs hangs on how long somebody is awake."""


async def a_day(simulation: Simulation, workload: Workload, chance: Chance) -> None:
    """Makes one day's runs, at their times; returns when the last one was made."""
    left = workload.jobs_a_day
    made = 0.0
    runs = max(1.0, left * len(workload.sizes) / sum(workload.sizes))
    while left > 0:
        pause = min(chance.expovariate(runs / workload.open_s), workload.open_s / 8)
        made += pause
        await simulation.pass_time(pause)
        size = min(left, chance.choice(workload.sizes))
        seconds = [workload.job_s(chance) for _ in range(size)]
        simulation.run(seconds, needs=chance.random() < 0.2)
        left -= size
        if chance.random() < workload.cancelled:
            simulation.cancel_later(chance.uniform(1.0, 300.0))
