"""Looks at the fleet every ten seconds while work and faults go on, and measures what is promised.

A time counts where nothing was in force that befalls everybody or the host in question; each API call that a
fault struck in between allows one more try. What is broken is told once, with the faults of its time.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from andon.model.claim_states import LIVE
from andon.model.nouns import Claim
from andon.model.nouns import Job as KnownJob
from andon.model.why import Why
from andon.sim.sandbox.fault_kinds import KINDS
from andon.sim.sandbox.records import Job, Stage
from andon.sim.simulation.bounds import IDLE, LOST, SILENT, TOLD, UNTOLD, Bound, bounds
from andon.sim.simulation.invariants import at_any_time, story
from andon.sim.simulation.played_host import Evidence
from andon.sim.simulation.simulation import Death, Simulation
from andon.store import claims, job_views, jobs
from andon.store.pauses import LONGEST_OF_OWNER

LOOK_S = 10.0
RETRY_S = 30.0
"""What a call that failed may cost until it was tried again."""
_PAUSED = "rate_limited"
_YOUNG_S = 20.0
"""A job that GitHub has queued for less is not looked at: deliveries and statements are on their way."""
_BOUND_OF = {Evidence.TOLD: TOLD, Evidence.LOST: LOST, Evidence.SILENT: SILENT}


class Watch:
    """The looks at one simulation."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.bounds: dict[str, Bound] = bounds()
        self.found: dict[str, None] = {}
        """Violations, each once."""
        self._dead: list[tuple[Death, int | None]] = []
        self._untold: dict[int, float] = {}
        self._idle: dict[int, float] = {}
        self._strikes: list[tuple[float, int]] = [(0.0, 0)]
        self._paused: set[int] = set()
        """Jobs that waited beside free slots while a pause was stated."""
        self._broken: set[object] = set()

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            self.look()
            await self._simulation.clock.sleep(LOOK_S)

    def look(self) -> None:
        """Once."""
        self.found |= dict.fromkeys(at_any_time(self._simulation))
        self._count_strikes()
        self._look_at_deaths()
        waiting = [job for job in self._old_enough() if not job.is_held_by_a_fault]
        if waiting or self._untold or self._idle:
            self._look_at_waiting(waiting)

    def forget(self) -> None:
        """A new day: everything measured is over."""
        self._strikes = [(self._now(), 0)]
        self._broken.clear()

    def _now(self) -> float:
        return self._simulation.clock.monotonic()

    def _count_strikes(self) -> None:
        count = sum(
            each.applied for each in self._simulation.github.faults.active if KINDS[each.kind].befalls == "call"
        )
        if count != self._strikes[-1][1]:
            self._strikes.append((self._now(), count))

    def _strikes_since(self, since: float) -> int:
        """Calls that a fault befell since then, and in the look before it."""
        before = 0
        for at, count in reversed(self._strikes):
            if at < since - LOOK_S:
                before = count
                break
        return max(0, self._strikes[-1][1] - before)

    def _old_enough(self) -> Iterator[Job]:
        now = self._simulation.clock.now()
        for job in self._simulation.github.world.jobs.values():
            if job.stage is Stage.QUEUED and (now - job.history[-1].at).total_seconds() >= _YOUNG_S:
                yield job

    def _look_at_deaths(self) -> None:
        simulation = self._simulation
        fresh, simulation.deaths = simulation.deaths, []
        if not fresh and not self._dead:
            return
        known = simulation.ask(
            lambda connection: claims.get_claims(
                connection, [each.claim for each in (*fresh, *(d for d, _ in self._dead))]
            )
        )
        self._dead += [(each, known[each.claim].job_id if each.claim in known else None) for each in fresh]
        self._dead = [
            (death, job_id)
            for death, job_id in self._dead
            if not self._is_rescued(death, job_id, known.get(death.claim))
        ]

    def _is_rescued(self, death: Death, job_id: int | None, claim: Claim | None) -> bool:
        """Whether the job of a dead runner is free of it; measured then."""
        bound, simulation = self.bounds[_BOUND_OF[death.how]], self._simulation
        job = simulation.github.world.jobs.get(job_id or 0)
        now = self._now()
        if claim is None or job is None or claim.job_id != job_id or job.is_held_by_a_fault:
            return True
        ended = simulation.history.over.get(death.claim)
        if job.stage is not Stage.QUEUED or ended is not None:
            moved = now - (simulation.clock.now() - job.history[-1].at).total_seconds()
            until = min(ended if ended is not None else now, moved if job.stage is not Stage.QUEUED else now)
            if until >= death.at:
                # Else nothing hung on it any more when it ended.
                self._measured(bound, death.at, until, death.claim, host=death.host, what=story(job))
            return True
        what = f"{death.claim} on {death.host} holds {story(job)}"
        self._judge(bound, death.at, now, death.claim, host=death.host, what=what)
        return False

    def _look_at_waiting(self, waiting: list[Job]) -> None:
        simulation, now = self._simulation, self._now()
        ids = [job.id for job in waiting]
        here = simulation.ask(lambda connection: jobs.get_jobs(connection, ids)) if ids else {}
        live = simulation.live_claims()
        capacity = self._capacity(live)
        covered = {claim.job_id for claim in live}
        untold: dict[int, float] = {}
        idle: dict[int, float] = {}
        for job in waiting:
            if job.id not in here:
                untold[job.id] = now - (simulation.clock.now() - job.history[-1].at).total_seconds()
                self._judge(self.bounds[UNTOLD], untold[job.id], now, job.id, what=f"I1: {story(job)}")
            elif capacity and job.id not in covered and job.assignment is None:
                idle[job.id] = self._idle.get(job.id, now)
        # With the next look they may be over the bound: only then is it of interest what we say of them.
        soon_late = [each for each, since in idle.items() if now - since + LOOK_S >= self.bounds[IDLE].limit_s]
        for known, why in self._whys([here[each] for each in soon_late]):
            what = f"I13: {story(simulation.job(known.id))} waits beside {capacity}; we say: {why.text}"
            # A pause after failed mints is told with its end, and lasts two minutes at most (R20); one that a
            # person has to end, which may last longer, is not among the faults here.
            allowed = LONGEST_OF_OWNER.total_seconds() if why.cause == _PAUSED else 0.0
            self._judge(self.bounds[IDLE], idle[known.id], now, known.id, what=what, allowed=allowed)
            if allowed:
                self._paused.add(known.id)
        for job_id in [each for each in self._untold if each not in untold]:
            self._measured(self.bounds[UNTOLD], self._untold[job_id], now, job_id, what=f"I1: job {job_id}")
        for job_id in [each for each in self._idle if each not in idle]:
            since = self._idle[job_id]
            # Claimed in between, taken by another's runner, or the capacity went to others.
            until = min(now, max(since, simulation.history.claimed.get(job_id, now)))
            if job_id in self._paused:
                self._paused.discard(job_id)
                self.bounds[IDLE].note(until - since, in_trouble=True)
                continue
            self._measured(self.bounds[IDLE], since, until, job_id, what=f"I13: job {job_id} waited beside free slots")
        self._untold, self._idle = untold, idle

    def _whys(self, waiting: list[KnownJob]) -> list[tuple[KnownJob, Why]]:
        """The reasons that we show for their waiting."""
        simulation = self._simulation

        def ask(connection: Connection) -> list[tuple[KnownJob, Why]]:
            around = job_views.surroundings(connection, simulation.config, simulation.clock.now())
            views = job_views.view(connection, waiting, around)
            return [(job, view.why) for job, view in zip(waiting, views, strict=True) if view.why is not None]

        return simulation.ask(ask) if waiting else []

    def _capacity(self, live: list[Claim]) -> str:
        """Where a slot is free that dispatch may use, in words; empty when there is none."""
        simulation = self._simulation
        cap = simulation.shape.max_slots
        if cap is not None and len(live) >= cap:
            return ""
        address = simulation.address
        free: list[str] = []
        for host in simulation.hosts.values():
            here = sum(claim.host == host.name and claim.state in LIVE for claim in live)
            away = host.name in address.cut or host.name in address.deaf or not host.agent_lives
            used = max(here, len(host.live_claims()))
            if not away and used < simulation.shape.slots and not simulation.troubles.befall(host.name):
                free.append(f"{simulation.shape.slots - used} free slots of {host.name}")
        return ", ".join(free)

    def _measured(
        self, bound: Bound, since: float, until: float, key: object, *, what: str, host: str | None = None
    ) -> None:
        """It is over: noted, and judged once more by its true length."""
        troubled = bool(self._simulation.troubles.during(since, until, host)) or self._strikes_since(since) > 0
        bound.note(until - since, in_trouble=troubled)
        self._judge(bound, since, until, key, what=what, host=host)

    def _judge(
        self,
        bound: Bound,
        since: float,
        until: float,
        key: object,
        *,
        what: str,
        host: str | None = None,
        allowed: float = 0.0,
    ) -> None:
        """Tells of a broken promise, once. `allowed`: seconds with nothing in force that are excused besides."""
        if until - since <= bound.limit_s or (bound.name, key) in self._broken:
            return
        troubles, strikes = self._simulation.troubles, self._strikes_since(since)
        clear = troubles.clear_seconds(since, until, host)
        # A list that failed is asked for again with the next pass of the sweep.
        retry_s = self._simulation.shape.sweep_seconds if bound.name == UNTOLD else RETRY_S
        if clear - strikes * retry_s - allowed <= bound.limit_s:
            return
        self._broken.add((bound.name, key))
        befell = ", ".join(troubles.during(since, until, host)) or "no large fault"
        self.found[
            f"{bound.name}: {until - since:.0f} s, {clear:.0f} of them with nothing in force, of {bound.limit_s:g} "
            f"({befell}; {strikes} calls struck): {what}"
        ] = None
