"""What goes wrong, and how often: faults of GitHub, of deliveries, of hosts and of our own programs.

Rows of limits.md section 6 by their numbers. `Weather.begin` sets what befalls by chance; `storms` brings
the large ones at times of their own. `clear` ends all of it.
"""

from collections import Counter
from datetime import timedelta

from andon.runtime.chance import Chance
from andon.sim.simulation.processes import Process
from andon.sim.simulation.simulation import Simulation

BY_CHANCE: tuple[tuple[str, float, float | None], ...] = (
    # Row 6: webhooks.
    ("delivery_lost", 0.03, None),
    ("delivery_never_created", 0.01, None),
    ("delivery_doubled", 0.05, 20.0),
    ("delivery_reordered", 0.2, 3.0),
    ("delivery_delayed", 0.03, 600.0),
    ("delivery_after_completed", 0.01, None),
    # Row 7: the API.
    ("api_error", 0.02, None),
    ("api_slow", 0.02, 8.0),
    ("api_reply_lost", 0.01, None),
    ("api_malformed", 0.005, None),
    ("mint_reply_lost", 0.03, None),
    # Section 5: the runners' failure modes.
    ("job_shuffled", 0.05, None),
    ("runner_vanishes", 0.02, None),
    ("assignment_lost", 0.02, None),
    ("job_lost_communication", 0.01, None),
    ("job_status_stuck", 0.01, None),
    ("job_shown_queued", 0.01, None),
    ("lock_lost", 0.005, None),
    ("runner_listed_late", 0.03, 20.0),
)
"""Kind, probability, seconds."""


class Weather:
    """The weather of one simulation."""

    def __init__(self, simulation: Simulation, *, every_s: float = 900.0) -> None:
        self._simulation = simulation
        self._every_s = every_s
        self._chance: Chance = simulation.chance("weather")
        self._process = Process("weather")
        self.large: Counter[str] = Counter()
        """Large faults so far, by kind."""

    def begin(self) -> None:
        """From now on things go wrong."""
        for kind, probability, seconds in BY_CHANCE:
            spec = {"kind": kind, "match": {"probability": probability}}
            self._simulation.fault(**spec, **({} if seconds is None else {"seconds": seconds}))
        for host in self._simulation.hosts.values():
            host.starts_fail, host.starts_hang = 0.01, 0.005
        self._process = Process("weather")
        self._process.start(self._storms())

    async def clear(self) -> None:
        """From now on nothing new goes wrong, and what was cut is whole again."""
        await self._process.end()
        simulation = self._simulation
        simulation.github.faults.clear()
        simulation.github_cut = False
        simulation.address.cut.clear()
        if not simulation.replica.lives:
            await simulation.replica.start()
        for host in simulation.hosts.values():
            host.starts_fail = host.starts_hang = 0.0
            host.offline = False
            host.clock.skew = timedelta(0)
            if not host.agent_lives:
                host.start_agent()

    async def _storms(self) -> None:
        kinds = (
            self._control_plane_ends,
            self._agent_ends,
            self._host_restarts,
            self._runner_ends,
            self._agent_is_cut_off,
            self._host_is_offline,
            self._github_is_cut_off,
            self._clock_jumps,
            self._token_expires,
            self._limited,
        )
        while True:
            await self._simulation.clock.sleep(self._chance.expovariate(1 / self._every_s))
            kind = self._chance.choice(kinds)
            self.large[kind.__name__.lstrip("_")] += 1
            self._simulation.trace.note("weather", kind.__name__.lstrip("_"))
            await kind()

    def _host(self):
        return self._simulation.hosts[self._chance.choice(list(self._simulation.hosts))]

    async def _control_plane_ends(self) -> None:
        """Row 4 in its chance form: SIGKILL, and a start after a while."""
        replica = self._simulation.replica
        await replica.end()
        await self._simulation.clock.sleep(self._chance.uniform(0.5, 60.0))
        await replica.start()

    async def _agent_ends(self) -> None:
        """Row 5."""
        host = self._host()
        await host.end_agent()
        await self._simulation.clock.sleep(self._chance.uniform(0.5, 120.0))
        host.start_agent()

    async def _host_restarts(self) -> None:
        """Row 5."""
        host = self._host()
        await host.reboot()
        await self._simulation.clock.sleep(self._chance.uniform(20.0, 300.0))
        host.start_agent()

    async def _runner_ends(self) -> None:
        """Row 5: a runner is ended by the kernel."""
        host = self._host()
        if live := host.live_claims():
            await host.end_a_runner(self._chance.choice(live))

    async def _agent_is_cut_off(self) -> None:
        """Row 10 without its network: packets do not arrive."""
        host = self._host()
        self._simulation.address.cut.add(host.name)
        await self._simulation.clock.sleep(self._chance.choice((30.0, 600.0, 1800.0)))
        self._simulation.address.cut.discard(host.name)

    async def _host_is_offline(self) -> None:
        host = self._host()
        host.offline = True
        await self._simulation.clock.sleep(self._chance.choice((10.0, 60.0, 400.0)))
        host.offline = False

    async def _github_is_cut_off(self) -> None:
        self._simulation.github_cut = True
        await self._simulation.clock.sleep(self._chance.choice((20.0, 120.0, 900.0)))
        self._simulation.github_cut = False

    async def _clock_jumps(self) -> None:
        """Row 8: an agent's clock is wrong."""
        host = self._host()
        host.clock.skew = timedelta(seconds=self._chance.choice((-600.0, -30.0, 30.0, 600.0)))
        await self._simulation.clock.sleep(600.0)
        host.clock.skew = timedelta(0)

    async def _token_expires(self) -> None:
        """Row 7."""
        self._simulation.fault(kind="api_token_expired", count=3)

    async def _limited(self) -> None:
        """Row 7."""
        kind = self._chance.choice(("api_rate_limited", "api_secondary_limit"))
        self._simulation.fault(kind=kind, count=1, seconds=60.0)
