"""What goes wrong, and how often: faults of GitHub, of deliveries, of hosts and of our own programs.

Rows of limits.md section 6 by their numbers. Small faults befall by chance, call by call; each kind of large
one comes at times of its own, so that several are in force at once. A day is ordinary, rough or stormy, by the seed.
"""

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Generator
from datetime import timedelta

import msgspec

from andon.runtime.chance import Chance
from andon.sim.simulation.played_host import PlayedHost
from andon.sim.simulation.processes import Process
from andon.sim.simulation.replica import Replica
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


_STARTS = (0.01, 0.005, 0.005)
"""Starts that fail with an exit code, that hang, and whose end nobody can tell of."""


class Sky(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of day."""

    name: str
    small: float
    """How many times as likely as in `BY_CHANCE` small faults are."""
    starts: float
    """How many times as likely as in `_STARTS` a runner never comes up: on each kind of day often enough that what is
    promised of rescue (R27) is measured."""
    large: float
    """Large faults in the time in which work comes and runs."""


ORDINARY = Sky(name="ordinary", small=0.08, starts=0.3, large=8.0)
ROUGH = Sky(name="rough", small=1.0, starts=1.0, large=24.0)
STORM = Sky(name="storm", small=1.0, starts=1.0, large=80.0)


class Climate(msgspec.Struct, frozen=True, kw_only=True):
    """How often each kind of day is."""

    ordinary: float = 0.0
    rough: float = 0.6
    storm: float = 0.4

    def roll(self, chance: Chance) -> Sky:
        """One day's."""
        return chance.choices((ORDINARY, ROUGH, STORM), (self.ordinary, self.rough, self.storm))[0]


BAD = Climate()
"""Every day is rough or worse: some 800 faults in a day of 400 jobs."""
MIXED = Climate(ordinary=0.85, rough=0.1, storm=0.05)
"""A year as it is: some 150 faults in a day of 400 jobs, most of them in few days. For many days."""


class Weather:
    """The weather of one simulation."""

    def __init__(self, simulation: Simulation, climate: Climate = BAD) -> None:
        self._simulation, self._climate = simulation, climate
        self._days = simulation.chance("weather")
        self._process = Process("weather")
        self._chances = {kind: simulation.chance(f"weather/{kind}") for kind in self._kinds()}
        self.struck: Counter[str] = Counter()
        """Faults that befell something, by kind: those of all days that are over, and the large ones of this one."""

    def begin(self, lasts_s: float) -> Sky:
        """A day begins, with `lasts_s` of work: from now on things go wrong."""
        simulation, sky = self._simulation, self._climate.roll(self._days)
        simulation.trace.note("weather", "day", kind=sky.name)
        for kind, probability, seconds in BY_CHANCE:
            spec = {"kind": kind, "match": {"probability": probability * sky.small}}
            simulation.fault(**spec, **({} if seconds is None else {"seconds": seconds}))
        for host in simulation.hosts.values():
            host.starts_fail, host.starts_hang, host.starts_lost = (each * sky.starts for each in _STARTS)
        self._process = Process("weather")
        kinds = self._kinds()
        for kind, strike in kinds.items():
            self._process.start(self._again(self._chances[kind], lasts_s * len(kinds) / sky.large, strike))
        return sky

    async def clear(self) -> None:
        """From now on nothing new goes wrong, and what was cut is whole again."""
        simulation = self._simulation
        for replica in simulation.replicas.values():
            # Before the weather ends: it may wait for one that is starting, and stands still.
            replica.go_on()
        await self._process.end()
        for fault in simulation.github.faults.active:
            self.struck[fault.kind.value] += fault.applied
        simulation.github.faults.clear()
        simulation.github_cut = False
        simulation.address.cut.clear()
        simulation.address.deaf.clear()
        simulation.outage.away.clear()
        simulation.outage.hanging.clear()
        for replica in simulation.replicas.values():
            replica.clock.skew = timedelta(0)
            await replica.start()
        for host in simulation.hosts.values():
            host.starts_fail = host.starts_hang = host.starts_lost = 0.0
            host.offline = False
            host.clock.skew = timedelta(0)
            host.start_agent()
        simulation.troubles.end_all()

    def _kinds(self) -> dict[str, Callable[[Chance], Awaitable[None]]]:
        return {
            "control_plane_ends": self._control_plane_ends,
            "control_plane_stands_still": self._control_plane_stands_still,
            "control_plane_clock": self._control_plane_clock,
            "store_refuses": self._store_refuses,
            "store_hangs": self._store_hangs,
            "agent_ends": self._agent_ends,
            "agent_cut": self._agent_cut,
            "agent_deaf": self._agent_deaf,
            "host_restarts": self._host_restarts,
            "host_offline": self._host_offline,
            "host_clock": self._host_clock,
            "runner_ends": self._runner_ends,
            "runner_lost": self._runner_lost,
            "github_cut": self._github_cut,
            "github_limits": self._github_limits,
            "token_expires": self._token_expires,
        }

    async def _again(self, chance: Chance, every_s: float, strike: Callable[[Chance], Awaitable[None]]) -> None:
        while True:
            await self._sleep(chance.expovariate(1 / every_s))
            await strike(chance)

    @contextlib.contextmanager
    def _struck(self, kind: str, of: str | None = None, *, host: bool = False) -> Generator[None]:
        """It is in force inside, and counted."""
        self.struck[kind] += 1
        self._simulation.trace.note("weather", kind, of=of)
        trouble = self._simulation.troubles.begin(kind, of if host else None)
        try:
            yield
        finally:
            self._simulation.troubles.end(trouble)
            self._simulation.trace.note("weather", f"{kind}.over", of=of)

    async def _sleep(self, seconds: float) -> None:
        await self._simulation.clock.sleep(seconds)

    def _host(self, chance: Chance) -> PlayedHost:
        return self._simulation.hosts[chance.choice(list(self._simulation.hosts))]

    def _replica(self, chance: Chance) -> Replica:
        return self._simulation.replicas[chance.choice(list(self._simulation.replicas))]

    async def _control_plane_ends(self, chance: Chance) -> None:
        """Row 4 in its chance form: SIGKILL, and a start after a while, again and again until it serves."""
        replica = self._replica(chance)
        with self._struck("control_plane_ends", replica.name):
            await replica.end()
            await self._sleep(chance.uniform(0.5, 60.0))
            await replica.start()
            while not replica.lives:
                await self._sleep(5.0)
                await replica.start()

    async def _control_plane_stands_still(self, chance: Chance) -> None:
        """Row 12: SIGSTOP for a minute, and on with what it believed."""
        replica = self._replica(chance)
        with self._struck("control_plane_stands_still", replica.name):
            replica.stop()
            await self._sleep(60.0)
            replica.go_on()

    async def _control_plane_clock(self, chance: Chance) -> None:
        """Row 8: its calendar jumps, back too."""
        replica = self._replica(chance)
        with self._struck("control_plane_clock", replica.name):
            replica.clock.skew = timedelta(seconds=chance.choice((-3600.0, -60.0, 60.0, 3600.0)))
            await self._sleep(chance.uniform(60.0, 600.0))
            replica.clock.skew = timedelta(0)

    async def _store_refuses(self, chance: Chance) -> None:
        """The database is away for everybody: deliveries are spooled, agents are told 503."""
        with self._struck("store_refuses"):
            await self._without_store(self._simulation.outage.away, self._simulation.replicas, chance)

    async def _store_hangs(self, chance: Chance) -> None:
        """The database does not answer one replica."""
        replica = self._replica(chance)
        with self._struck("store_hangs", replica.name):
            await self._without_store(self._simulation.outage.hanging, (replica.name,), chance)

    async def _without_store(
        self, where: set[str], replicas: "dict[str, Replica] | tuple[str]", chance: Chance
    ) -> None:
        where.update(replicas)
        await self._sleep(chance.choice((2.0, 20.0, 120.0)))
        where.difference_update(replicas)

    async def _agent_ends(self, chance: Chance) -> None:
        """Row 5."""
        host = self._host(chance)
        with self._struck("agent_ends", host.name, host=True):
            await host.end_agent()
            await self._sleep(chance.uniform(0.5, 120.0))
            host.start_agent()

    async def _agent_cut(self, chance: Chance) -> None:
        """Row 10 without its network: packets do not arrive, in both directions."""
        host = self._host(chance)
        with self._struck("agent_cut", host.name, host=True):
            self._simulation.address.cut.add(host.name)
            await self._sleep(chance.choice((30.0, 600.0, 1800.0)))
            self._simulation.address.cut.discard(host.name)

    async def _agent_deaf(self, chance: Chance) -> None:
        """Row 10: what it says arrives, what it is answered does not."""
        host = self._host(chance)
        with self._struck("agent_deaf", host.name, host=True):
            self._simulation.address.deaf.add(host.name)
            await self._sleep(chance.choice((30.0, 600.0)))
            self._simulation.address.deaf.discard(host.name)

    async def _host_restarts(self, chance: Chance) -> None:
        """Row 5."""
        host = self._host(chance)
        with self._struck("host_restarts", host.name, host=True):
            await host.reboot()
            await self._sleep(chance.uniform(20.0, 300.0))
            host.start_agent()

    async def _host_offline(self, chance: Chance) -> None:
        """GitHub is out of reach from one host."""
        host = self._host(chance)
        with self._struck("host_offline", host.name, host=True):
            host.offline = True
            await self._sleep(chance.choice((10.0, 60.0, 400.0)))
            host.offline = False

    async def _host_clock(self, chance: Chance) -> None:
        """Row 8: an agent's clock is wrong."""
        host = self._host(chance)
        with self._struck("host_clock", host.name, host=True):
            host.clock.skew = timedelta(seconds=chance.choice((-600.0, -30.0, 30.0, 600.0)))
            await self._sleep(600.0)
            host.clock.skew = timedelta(0)

    async def _runner_ends(self, chance: Chance) -> None:
        """Row 5: a runner is ended by the kernel."""
        host = self._host(chance)
        if live := host.live_claims():
            with self._struck("runner_ends", host.name, host=True):
                await host.end_a_runner(chance.choice(live))

    async def _runner_lost(self, chance: Chance) -> None:
        """A runner is gone, and its folder with it: the report of its end is lost (R27)."""
        host = self._host(chance)
        if live := host.live_claims():
            with self._struck("runner_lost", host.name, host=True):
                await host.lose_a_runner(chance.choice(live))

    async def _github_cut(self, chance: Chance) -> None:
        """No way from us to GitHub."""
        with self._struck("github_cut"):
            self._simulation.github_cut = True
            await self._sleep(chance.choice((20.0, 120.0, 900.0)))
            self._simulation.github_cut = False

    async def _github_limits(self, chance: Chance) -> None:
        """Row 7: GitHub asks us to wait."""
        with self._struck("github_limits"):
            kind = chance.choice(("api_rate_limited", "api_secondary_limit"))
            await self._of_some_calls(90.0, kind=kind, count=1, seconds=60.0)

    async def _token_expires(self, chance: Chance) -> None:
        """Row 7."""
        with self._struck("token_expires"):
            await self._of_some_calls(30.0, kind="api_token_expired", count=chance.choice((1, 3)))

    async def _of_some_calls(self, lasts_s: float, **spec: object) -> None:
        """Calls that fail while it lasts, and none after: what is not in force excuses nothing (troubles.py)."""
        fault = self._simulation.fault(**spec)
        await self._sleep(lasts_s)
        self._simulation.github.faults.end(fault)
