"""Adopted slots in the store: who stands idle, what dispatch leaves to them, what people see (interfaces.md 3)."""

from collections.abc import Iterator
from typing import Any

import pytest

from andon.model.claim_states import ClaimState
from andon.model.host_states import Intent
from andon.model.nouns import Slot
from andon.model.wire import SlotReport, SlotState
from andon.rules.dispatch import Policy
from andon.sim.virtual_time import VirtualClock
from andon.store import adopted_slots, claims, fleet_views, hosts, job_views, jobs, registrations, runner_views
from andon.store.apply_news import apply_job_news
from andon.store.apply_sync import apply_report
from andon.store.dispatch import Round, dispatch_once
from andon.store.registrations import Place, Sighting
from andon.store.schema import hosts as hosts_table
from andon.store.schema import slots as slots_table
from andon.store.transaction import Store, Tx
from tests.support.builders import START, a_config, a_pool, a_report, at, idle, job_news
from tests.support.running import read, write

CONFIG = a_config(pool=(a_pool(), a_pool(name="gpu", labels=("self-hosted", "gpu"))))
POLICY = Policy(pools={pool.name: pool for pool in CONFIG.pool}, max_slots={})
HERE = Place(owner="acme", repository="acme/app")


class Fleet:
    """One host with one adopted slot, and JIT slots where a test wants them."""

    def __init__(self, store: Store, clock: VirtualClock) -> None:
        self.store, self.clock, self.seq = store, clock, 0
        self.more: tuple[SlotReport, ...] = ()
        write(store, lambda tx: hosts.enrol(tx, "host-a", "aht_x"))

    def report(self, state: SlotState = SlotState.IDLE, runner: str = "r-7", **changes: Any) -> None:
        self.seq += 1
        mine = SlotReport(slot=7, kind="adopted", pool="", state=state, runner=runner)

        def work(tx: Tx) -> None:
            host = hosts.get_host(tx.connection, "host-a")
            assert host is not None
            apply_report(tx, host, a_report((*self.more, mine), seq=self.seq, **changes), POLICY.pools)  # type: ignore[arg-type]

        write(self.store, work)

    def listed(
        self, *labels: str, name: str = "r-7", status: str = "online", busy: bool = False, place: Place = HERE
    ) -> None:
        """GitHub's list was read."""

        def work(tx: Tx) -> None:
            seen = Sighting(name=name, runner_id=7, status=status, busy=busy)
            registrations.keep(tx, place, [seen], [])
            adopted_slots.assign_pools(tx, {name: labels or ("self-hosted", "Linux")}, CONFIG.pool)

        write(self.store, work)

    def ready(self) -> None:
        self.report()
        self.listed()

    def news(self, job_id: int, status: str = "queued", **changes: Any) -> None:
        given: dict[str, Any] = {"started_at": self.clock.now(), "order_at": self.clock.now(), **changes}
        write(self.store, lambda tx: apply_job_news(tx, job_news(job_id, status, **given), CONFIG))

    def dispatch(self, mode: str = "act") -> Round:
        return write(self.store, lambda tx: dispatch_once(tx, POLICY, fleet="f", mode=mode))

    def claimed(self) -> list[int | None]:
        return [claim.job_id for claim in read(self.store, claims.live_claims)]

    def takers(self) -> list[str]:
        return [each.runner for each in read(self.store, lambda c: adopted_slots.takers(c, self.clock.now()))]

    def slot(self) -> Slot:
        return next(slot for slot in read(self.store, hosts.all_slots) if slot.slot == 7)

    def shown(self) -> Any:
        (host,) = read(self.store, lambda c: fleet_views.host_views(c, self.clock.now()))
        return next(slot for slot in host.slots if slot.slot == 7)

    def why(self, job_id: int) -> Any:
        def work(connection: Any) -> Any:
            job = jobs.get_job(connection, job_id)
            assert job is not None
            return job_views.explain_job(connection, job, job_views.surroundings(connection, CONFIG, self.clock.now()))

        return read(self.store, work)


@pytest.fixture
def fleet(store: Store, clock: VirtualClock) -> Iterator[Fleet]:
    yield Fleet(store, clock)


def test_its_pool_comes_from_the_labels_that_github_lists(fleet: Fleet) -> None:
    fleet.report()
    assert fleet.slot().pool == "" and fleet.shown().state == "unknown"
    assert read(fleet.store, lambda c: adopted_slots.pools_on(c, "host-a")) == {}
    fleet.listed()
    assert fleet.slot().pool == "linux" and fleet.shown().state == "idle"
    assert read(fleet.store, lambda c: adopted_slots.pools_on(c, "host-a")) == {"7": "linux"}, "its host is told"
    assert read(fleet.store, lambda c: adopted_slots.pools_on(c, "host-b")) == {}
    fleet.report()
    assert fleet.slot().pool == "linux", "its agent does not know the labels, and takes nothing back"
    assert read(fleet.store, lambda connection: adopted_slots.pools_on(connection, "host-a")) == {"7": "linux"}
    fleet.listed("self-hosted", "gpu")
    assert fleet.slot().pool == "gpu"
    fleet.listed("self-hosted", "other")
    assert fleet.slot().pool == ""
    fleet.listed()
    fleet.report(runner="another")
    assert fleet.slot().pool == "", "another runner stands there: its labels are not known"
    assert read(fleet.store, lambda connection: adopted_slots.pools_on(connection, "host-a")) == {}


def test_a_pool_that_its_agent_names_is_kept_until_labels_say_otherwise(fleet: Fleet) -> None:
    fleet.more = (SlotReport(slot=8, kind="adopted", pool="own", state=SlotState.IDLE, runner="r-8"),)
    fleet.report()
    write(fleet.store, lambda tx: adopted_slots.assign_pools(tx, {"r-8": ("self-hosted",)}, CONFIG.pool))
    assert {slot.slot: slot.pool for slot in read(fleet.store, hosts.all_slots)} == {7: "", 8: "own"}


def test_the_oldest_job_is_left_to_it_and_the_next_gets_a_runner(fleet: Fleet) -> None:
    fleet.more = (idle(0), idle(1))
    fleet.ready()
    fleet.news(1)
    fleet.clock.advance(1)
    fleet.news(2)
    done = fleet.dispatch()
    assert fleet.claimed() == [2]
    assert done.left_until == at(30)
    assert fleet.dispatch().left_until == at(30) and fleet.claimed() == [2]


def test_as_many_jobs_are_placed_as_there_are_slots_beside_those_that_are_left(fleet: Fleet) -> None:
    fleet.more = (idle(0), idle(1), SlotReport(slot=8, kind="adopted", pool="", state=SlotState.IDLE, runner="r-8"))
    fleet.ready()
    fleet.listed(name="r-8", place=Place(owner="acme", repository=""))
    for number in range(1, 7):
        fleet.news(number)
        fleet.clock.advance(1)
    fleet.dispatch()
    assert sorted(fleet.claimed(), key=str) == [3, 4]


def test_a_job_that_it_does_not_take_gets_a_runner_after_30_s(fleet: Fleet) -> None:
    fleet.more = (idle(0), idle(1))
    fleet.ready()
    fleet.news(1)
    fleet.dispatch()
    fleet.clock.advance(29)
    fleet.dispatch()
    assert fleet.claimed() == []
    fleet.clock.advance(1)
    fleet.dispatch()
    assert fleet.claimed() == [1]
    # And the next one does not wait for it again.
    fleet.news(2)
    fleet.dispatch()
    assert sorted(fleet.claimed(), key=str) == [1, 2]
    assert fleet.shown().state == "unavailable"
    note = read(fleet.store, lambda c: fleet_views.slot_notes(c, fleet.clock.now()))["host-a", 7]
    assert note == "not counted on until 00:01:30 UTC: it stood idle and let a job lie"


def test_a_job_that_it_takes_makes_what_lay_forgotten(fleet: Fleet) -> None:
    fleet.more = (idle(0),)
    fleet.ready()
    fleet.news(1)
    fleet.clock.advance(31)
    fleet.dispatch()
    assert fleet.slot().failed_starts == 1 and fleet.takers() == []
    fleet.report(SlotState.RUNNING)
    assert (fleet.slot().failed_starts, fleet.slot().rests_until) == (0, None)
    fleet.report()
    assert fleet.takers() == ["r-7"]


def test_no_claim_is_ever_made_on_it(fleet: Fleet) -> None:
    fleet.ready()
    fleet.news(1)
    for _ in range(5):
        fleet.clock.advance(20)
        fleet.report()
        fleet.dispatch()
    assert fleet.claimed() == []


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_without_dispatch_nothing_is_noted_against_it(fleet: Fleet, mode: str) -> None:
    fleet.ready()
    fleet.news(1)
    fleet.clock.advance(60)
    fleet.dispatch(mode)
    assert fleet.slot().failed_starts == 0


def test_only_what_host_and_github_both_call_idle_is_counted_on(fleet: Fleet) -> None:
    fleet.ready()
    assert fleet.takers() == ["r-7"]
    fleet.report(SlotState.LISTENING)
    assert fleet.takers() == ["r-7"]
    for state in (SlotState.RUNNING, SlotState.UNAVAILABLE, SlotState.STARTING, SlotState.UNKNOWN):
        fleet.report(state)
        assert fleet.takers() == []
    fleet.report()
    fleet.listed(status="offline")
    assert fleet.takers() == [] and fleet.shown().state == "unavailable"
    fleet.clock.advance(1)
    fleet.listed(busy=True)
    assert fleet.takers() == [] and fleet.shown().state == "running"
    fleet.report(SlotState.RUNNING)
    fleet.clock.advance(5)
    fleet.report()
    # Its job ended after the list was read.
    assert fleet.takers() == ["r-7"] and fleet.shown().state == "idle"
    fleet.news(9, "in_progress", runner_name="r-7")
    assert fleet.takers() == [] and (fleet.shown().state, fleet.shown().job) == ("running", 9)
    fleet.news(9, "completed", runner_name="r-7", completed_at=fleet.clock.now())
    assert fleet.takers() == ["r-7"]
    fleet.clock.advance(16 * 60)
    fleet.report()
    assert fleet.takers() == [] and fleet.shown().state == "unknown", "the list is too old to say anything of now"


@pytest.mark.parametrize("table", ["host", "slot"])
def test_a_cordon_takes_it_out_of_the_capacity(fleet: Fleet, table: str) -> None:
    fleet.ready()
    changed = hosts_table if table == "host" else slots_table
    write(fleet.store, lambda tx: tx.connection.execute(changed.update().values(intent=Intent.CORDONED.value)))
    assert fleet.takers() == [] and fleet.shown().state == "unavailable"


def test_a_silent_host_is_not_counted_on(fleet: Fleet) -> None:
    fleet.ready()
    write(fleet.store, lambda tx: hosts.fall_silent(tx, at(60)))
    assert fleet.takers() == [] and fleet.shown().state == "unknown"


def test_two_of_one_name_cannot_be_told_apart(fleet: Fleet) -> None:
    fleet.ready()
    fleet.listed(place=Place(owner="acme", repository="acme/other"))
    assert fleet.takers() == [] and fleet.shown().state == "unknown"


def test_two_slots_with_a_runner_of_one_name_cannot_be_told_apart(fleet: Fleet) -> None:
    fleet.more = (SlotReport(slot=8, kind="adopted", pool="linux", state=SlotState.IDLE, runner="r-7"),)
    fleet.ready()
    assert fleet.takers() == [] and fleet.shown().state == "unknown"


def test_it_counts_in_its_pool(fleet: Fleet) -> None:
    fleet.more = (idle(0),)
    fleet.ready()
    fleet.news(9, "in_progress", runner_name="r-7")
    pool = read(fleet.store, lambda c: fleet_views.pool_views(c, CONFIG, fleet.clock.now()))[0]
    assert (pool.slots, pool.idle, pool.running) == (2, 1, 1)


def test_why_says_who_is_expected_to_take_it_and_until_when(fleet: Fleet) -> None:
    fleet.more = (idle(0),)
    fleet.ready()
    fleet.news(1)
    fleet.clock.advance(1)
    fleet.news(2)
    first, second = fleet.why(1), fleet.why(2)
    assert first.cause == second.cause == "starting"
    assert first.text == (
        "Adopted runner r-7 on host-a stands idle and is expected to take it; "
        "from 00:00:30 UTC on it is served like any other job."
    )
    assert first.facts == {"claim": None, "left_to": "r-7 on host-a", "left_until": at(30).isoformat()}
    assert second.text == "A slot of pool linux is free; the job is about to be claimed."
    fleet.dispatch()
    fleet.clock.advance(60)
    fleet.news(3)
    assert fleet.why(3).cause == "busy"


def test_a_job_that_is_left_to_it_is_about_to_start_also_where_there_is_no_other_slot(fleet: Fleet) -> None:
    fleet.ready()
    fleet.news(1)
    assert (fleet.why(1).cause, fleet.why(1).facts["left_to"]) == ("starting", "r-7 on host-a")


def test_a_new_one_has_its_labels_looked_up_and_its_work_looked_at(fleet: Fleet) -> None:
    woken: set[str] = set()
    fleet.store.on_nudges(woken.update)
    fleet.report()
    assert woken >= {"registrations", "dispatch"}
    fleet.listed()
    woken.clear()
    fleet.report()
    assert "registrations" not in woken and "dispatch" not in woken


def test_without_any_other_slot_a_job_that_is_not_taken_waits_with_a_reason(fleet: Fleet) -> None:
    fleet.ready()
    fleet.news(1)
    fleet.clock.advance(31)
    fleet.report()
    fleet.dispatch()
    found = fleet.why(1)
    assert found.cause == "no_runner" and "1 resting" in found.text
    fleet.listed(status="offline")
    fleet.clock.advance(60)
    assert "1 offline at GitHub" in fleet.why(1).text


def test_its_runner_is_shown_with_a_joined_verdict(fleet: Fleet) -> None:
    def seen() -> Any:
        (view,) = read(fleet.store, lambda c: runner_views.runner_views(c, fleet.clock.now()))
        (joined,) = read(fleet.store, lambda c: runner_views.runners_of_host(c, "host-a", fleet.clock.now()))
        assert joined.view() == view
        return view

    fleet.report()
    assert (seen().github, seen().verdict, seen().host, seen().slot) == ("unknown", "listening", "host-a", 7)
    fleet.listed()
    assert (seen().id, seen().github, seen().process, seen().verdict) == (7, "online", "alive", "idle")
    fleet.report(SlotState.UNAVAILABLE)
    assert (seen().process, seen().verdict) == ("gone", "listener_down")
    write(fleet.store, lambda tx: hosts.fall_silent(tx, at(60)))
    assert (seen().process, seen().heartbeat, seen().verdict) == ("unknown", "stale", "unreachable")


def test_a_fleet_without_adopted_slots_is_asked_nothing_more(fleet: Fleet) -> None:
    fleet.more = (idle(0),)
    here = read(fleet.store, hosts.all_slots)
    assert adopted_slots.facts(None, here, START) == {}  # type: ignore[arg-type]
    assert adopted_slots.registrations_of(None, here) == {}  # type: ignore[arg-type]


def test_a_claim_of_ours_goes_its_way_beside_it(fleet: Fleet) -> None:
    """GitHub gives the younger job to the adopted runner: the older one is served at once."""
    fleet.more = (idle(0),)
    fleet.ready()
    fleet.news(1)
    fleet.dispatch()
    fleet.news(2)
    fleet.news(2, "in_progress", runner_name="r-7")
    fleet.dispatch()
    assert fleet.claimed() == [1]
    (claim,) = read(fleet.store, claims.live_claims)
    assert claim.state is ClaimState.RESERVED
