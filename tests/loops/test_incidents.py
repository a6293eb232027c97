"""Incidents of the whole fleet on the played world: found within a minute, once for each cause, closed by evidence."""

from datetime import timedelta
from typing import Any

from sqlalchemy import update

from andon.github.health import Health
from andon.loops.hosts import HostLiveness
from andon.loops.incidents import KeepIncidents, follow
from andon.loops.leadership import LEADER, TERMS
from andon.loops.liveness_knock import Knock
from andon.model.incident_kinds import IncidentCode
from andon.model.nouns import Incident
from andon.model.wire import SlotState
from andon.rules.liveness_fleet import ApiFact, Finding, Situation
from andon.store import hosts, incidents, journal
from andon.store.apply_sync import apply_report
from andon.store.leases import take
from andon.store.schema import slots
from tests.support.builders import a_report, idle, slot_of

STEP_S = 5.0
DOWN = {"kind": "api_error", "match": {}, "count": 10_000}


class Watch:
    """The loops that watch, at their times, beside hosts that report or do not."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.loops = (HostLiveness(world.fleet), Knock(world.fleet), KeepIncidents(world.fleet))
        self.seq = 0

    async def start(self, *others: str) -> None:
        if not self.world.github.world.runs:
            # So that GitHub knows the repository.
            self.world.run("over")
            self.world.cancel_the_run()
        for name in others:
            await self.world.store.write(lambda tx, name=name: hosts.enrol(tx, name, f"aht_{name}"))
        await self.go(60, heard=("host-a", *others))

    async def go(self, seconds: float, *, heard: tuple[str, ...] = ()) -> None:
        for _ in range(int(seconds / STEP_S)):
            await self.world.pass_time(STEP_S)
            for name in heard:
                await self.report(name)
            for loop in self.loops:
                await loop.run_once()

    async def report(self, name: str) -> None:
        if name == "host-a":
            await self.world.report()
            return
        self.seq += 1
        report = a_report((idle(0),), host=name, seq=self.seq)

        def work(tx: Any) -> None:
            host = hosts.get_host(tx.connection, name)
            assert host is not None
            apply_report(tx, host, report, {})

        await self.world.store.write(work)

    async def found(self) -> list[Incident]:
        """Every incident, oldest first."""
        return list(reversed(await self.world.store.read(lambda connection: incidents.newest(connection, 100))))

    async def states(self) -> list[tuple[str, str, str]]:
        return [(each.code.value, each.subject_id, each.state.value) for each in await self.found()]


def test_a_host_that_is_lost_is_one_incident_within_a_minute_with_its_jobs(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        (job,) = world.run("test")
        await world.sweep()
        await world.dispatch()
        await world.act()
        claim = await world.the_claim(job)
        await world.report(slot_of(claim, SlotState.RUNNING), idle(1 - claim.slot))
        await world.bind(await world.the_claim(job))
        await watch.start("host-b", "host-c")
        await watch.go(60, heard=("host-b", "host-c"))
        assert await watch.states() == [("host.silent", "host-a", "open")]
        (incident,) = await watch.found()
        assert incident.jobs == (job,) and incident.repositories == ("acme/app",)
        assert incident.severity == "page" and incident.caused_by is None
        lines = await world.store.read(lambda connection: journal.newest(connection, 50, host="host-a"))
        assert incident.evidence == tuple(each.id for each in lines if each.entry.kind == "incident.opened")
        await watch.go(600, heard=("host-b", "host-c"))
        assert await watch.states() == [("host.silent", "host-a", "open")], "one incident, however long it lasts"
        # The claim stands: unknown is not down (R35).
        assert (await world.the_claim(job)).id == claim.id

    play(story)


def test_it_closes_by_evidence_and_a_return_is_the_same_incident(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        await watch.start("host-b")
        await watch.go(60, heard=("host-b",))
        await watch.go(60, heard=("host-a", "host-b"))
        assert await watch.states() == [("host.silent", "host-a", "easing")]
        await watch.go(65, heard=("host-b",))
        assert await watch.states() == [("host.silent", "host-a", "open")], "it flaps: the same incident"
        await watch.go(125, heard=("host-a", "host-b"))
        assert await watch.states() == [("host.silent", "host-a", "closed")]
        (incident,) = await watch.found()
        assert incident.closed_at is not None
        kinds = {"incident.opened", "incident.eased", "incident.returned", "incident.closed"}
        lines = await world.store.read(lambda connection: journal.newest(connection, 100, host="host-a"))
        told = [each.entry.kind for each in reversed(lines) if each.entry.kind in kinds]
        assert told == [
            "incident.opened",
            "incident.eased",
            "incident.returned",
            "incident.eased",
            "incident.closed",
        ]
        assert len(incident.evidence) == len(told)

    play(story)


def test_the_whole_fleet_lost_is_one_incident_while_github_answers(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        await watch.start("host-b", "host-c")
        await watch.go(60)
        assert await watch.states() == [("fleet.silent", "fleet", "open")]
        await watch.go(60, heard=("host-a", "host-b"))
        assert await watch.states() == [("fleet.silent", "fleet", "easing"), ("host.silent", "host-c", "open")]
        fleet, host = await watch.found()
        assert host.caused_by == fleet.id, "who stays away after that follows from it"

    play(story)


def test_github_down_is_one_incident_within_a_minute_even_of_an_idle_fleet(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        await watch.start("host-b")
        world.fault(**DOWN)
        await watch.go(60, heard=("host-a", "host-b"))
        assert await watch.states() == [("github.down", "api", "open")]
        world.github.faults.active.clear()
        await watch.go(30, heard=("host-a", "host-b"))
        assert await watch.states() == [("github.down", "api", "easing")]
        await watch.go(180, heard=("host-a", "host-b"))
        assert await watch.states() == [("github.down", "api", "closed")]

    play(story)


def test_a_few_failures_of_github_are_no_incident(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        await watch.start("host-b")
        for _ in range(5):
            world.fault(**{**DOWN, "count": 2})
            await watch.go(60, heard=("host-a", "host-b"))
        assert await watch.states() == []

    play(story)


def test_cut_off_from_everybody_is_our_own_incident_and_no_other(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        await watch.start("host-b")
        network = world.cut_off()
        await watch.go(75)
        assert await watch.states() == [("controlplane.asleep", "fleet", "open")]
        assert "cut off" in (await watch.found())[0].title
        network()
        # GitHub answers at once; the hosts come back one by one.
        await watch.go(25)
        await watch.go(20, heard=("host-a",))
        await watch.go(40, heard=("host-a", "host-b"))
        assert await watch.states() == [("controlplane.asleep", "fleet", "easing")]
        await watch.go(300, heard=("host-a", "host-b"))
        assert await watch.states() == [("controlplane.asleep", "fleet", "closed")]

    play(story)


def test_a_start_while_cut_off_does_not_call_the_fleet_lost(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        await watch.start("host-b")
        # Whoever led before called the hosts silent, and came no further.
        world.cut_off()
        watch.loops = (HostLiveness(world.fleet),)
        await watch.go(60)
        # Another process: it has heard nobody and asked nothing; only the tables are as they were.
        world._transport.health = Health()
        world.configure(world.config)
        watch.loops = (KeepIncidents(world.fleet), HostLiveness(world.fleet), Knock(world.fleet))
        await watch.go(180)
        assert await watch.states() == [("controlplane.asleep", "fleet", "open")]

    play(story)


def test_an_easing_incident_closes_only_while_it_is_seen_that_its_cause_is_gone(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        await watch.start("host-b")
        world.fault(**DOWN)
        await watch.go(60, heard=("host-a", "host-b"))
        world.github.faults.active.clear()
        await watch.go(30, heard=("host-a", "host-b"))
        assert await watch.states() == [("github.down", "api", "easing")]
        unknown = ApiFact(answered_at=None, failing_since=None)
        for _ in range(60):
            world.clock.advance(STEP_S)
            at = Situation(now=world.clock.now(), hosts=(), api=unknown, heard_since=None)
            await world.store.write(lambda tx, at=at: follow(tx, [], at))
        assert await watch.states() == [("github.down", "api", "easing")], "nobody asked: nothing is known"

    play(story)


def test_our_own_sleep_is_our_own_incident_and_no_host_is_lost(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        await watch.start("host-b")
        world.clock.advance(600)
        await watch.go(30)
        await watch.go(30, heard=("host-a", "host-b"))
        (only,) = await watch.found()
        assert (only.code.value, only.state.value) == ("controlplane.asleep", "easing")
        assert "stood still for" in only.title

    play(story)


def test_a_sleep_during_which_another_one_led_is_none(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        await watch.start("host-b")
        world.clock.advance(600)
        await world.store.write(lambda tx: take(tx, LEADER, "other", lasts=TERMS.lasts, alone=True))
        await watch.go(30, heard=("host-a", "host-b"))
        assert await watch.states() == []

    play(story)


def test_a_time_without_database_is_no_sleep(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        await watch.start("host-b")
        for _ in range(30):
            # The lease cannot be renewed: the loop is called, and does nothing.
            world.clock.advance(STEP_S)
            await watch.loops[-1].run_once()
        await watch.go(30, heard=("host-a", "host-b"))
        assert await watch.states() == []

    play(story)


def test_an_idle_fleet_costs_no_quota(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        await watch.start()
        world.calls.clear()
        await watch.go(300, heard=("host-a",))
        by_status: dict[str, int] = {}
        for (_, status), number in world.calls.items():
            by_status[status] = by_status.get(status, 0) + number
        assert by_status.keys() == {"304"}
        assert by_status["304"] <= 300 / 25

    play(story)


def test_an_incident_of_a_day_is_announced_again(play: Any) -> None:
    async def story(world: Any) -> None:
        finding = Finding(
            code=IncidentCode.GITHUB_DOWN, subject_kind="github", subject_id="api", title="GitHub fails", facts={}
        )
        unknown = ApiFact(answered_at=None, failing_since=None)
        for _ in range(50):
            at = Situation(now=world.clock.now(), hosts=(), api=unknown, heard_since=None)
            await world.store.write(lambda tx, at=at: follow(tx, [finding], at))
            world.clock.advance(3600)
        lines = await world.store.read(lambda connection: journal.newest(connection, 20))
        kinds = [each.entry.kind for each in lines]
        assert kinds.count("incident.announced") == 2 and kinds.count("incident.opened") == 1

    play(story)


def test_a_pool_of_which_every_slot_rests_is_one_incident_that_a_served_job_closes(play: Any) -> None:
    async def story(world: Any) -> None:
        watch = Watch(world)
        await watch.start("host-b")
        (job,) = world.run("test")
        await world.sweep()

        async def rest(host: str, until: float | None, failed: int = 4) -> None:
            end = None if until is None else world.clock.now() + timedelta(seconds=until)
            here = slots.c.host == host
            values = {"failed_starts": failed, "rests_until": end}
            await world.store.write(lambda tx: tx.connection.execute(update(slots).where(here).values(values)))

        heard = ("host-a", "host-b")
        await rest("host-a", 60)
        await watch.go(10, heard=heard)
        assert await watch.states() == [], "the other host serves"
        await rest("host-b", 30)
        await watch.go(10, heard=heard)
        assert await watch.states() == [("label.thin", "linux", "open")]
        (incident,) = await watch.found()
        assert "host-a, host-b" in incident.title and incident.severity == "warn" and incident.jobs == (job,)
        await watch.go(60, heard=heard)
        assert await watch.states() == [("label.thin", "linux", "open")], "that the rests are over shows nothing"
        await rest("host-b", None, failed=0)
        await watch.go(10, heard=heard)
        assert await watch.states() == [("label.thin", "linux", "easing")]
        await watch.go(15 * 60 + 10, heard=heard)
        assert await watch.states() == [("label.thin", "linux", "closed")]

    play(story)
