"""Dispatch: caps hold, nobody holds up another, every job that is left out has a reason."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from andon.rules.dispatch import FreeSlot, Place, Policy, Snapshot, WaitingJob, Withhold, decide
from tests.support.builders import a_pool, at


def waiting(job_id: int, **changes: Any) -> WaitingJob:
    defaults: dict[str, Any] = {
        "id": job_id,
        "repository": "acme/app",
        "owner": "acme",
        "pool": "linux",
        "run_id": job_id,
        "attempt": 1,
        "queued_at": at(job_id),
        "fork": False,
    }
    return WaitingJob(**{**defaults, **changes})


def slots(count: int, host: str = "host-a", pool: str = "linux") -> tuple[FreeSlot, ...]:
    return tuple(FreeSlot(host=host, slot=number, pool=pool) for number in range(count))


def snapshot(jobs: tuple[WaitingJob, ...], free: tuple[FreeSlot, ...], **changes: Any) -> Snapshot:
    defaults: dict[str, Any] = {
        "waiting": jobs,
        "free": free,
        "live_claims": {},
        "host_load": {},
    }
    return Snapshot(**{**defaults, **changes})


POLICY = Policy(pools={"linux": a_pool()}, max_slots={})


def placed(decisions: tuple[Any, ...]) -> list[int]:
    return [each.job.id for each in decisions if isinstance(each, Place)]


def test_oldest_first() -> None:
    assert placed(decide(snapshot((waiting(2), waiting(1), waiting(3)), slots(2)), POLICY)) == [1, 2]


def test_the_emptiest_host_is_taken_first() -> None:
    free = (*slots(2, "host-a"), *slots(2, "host-b"))
    decisions = decide(snapshot((waiting(1), waiting(2)), free, host_load={"host-a": 1}), POLICY)
    hosts = [each.slot.host for each in decisions if isinstance(each, Place)]
    assert hosts == ["host-b", "host-a"]


def places(jobs: tuple[WaitingJob, ...], free: tuple[FreeSlot, ...], **changes: Any) -> list[tuple[str, int]]:
    decisions = decide(snapshot(jobs, free, **changes), POLICY)
    return [(each.slot.host, each.slot.slot) for each in decisions if isinstance(each, Place)]


def test_a_job_goes_elsewhere_than_where_it_was_given_up() -> None:
    """T20: the host that starts nothing is the emptiest one."""
    free, load = (*slots(2, "host-a"), *slots(2, "host-b")), {"host-b": 9}
    again = waiting(1, given_up=(("host-a", 0, 1),))
    assert places((again, waiting(2)), free, host_load=load) == [("host-b", 0), ("host-a", 0)]
    twice = waiting(1, given_up=(("host-a", 0, 1), ("host-b", 0, 2)))
    assert places((twice,), free, host_load=load) == [("host-a", 1)], "where it was least often, on another slot"


def test_a_job_is_never_left_without_a_place() -> None:
    again = waiting(1, given_up=(("host-a", 0, 7),))
    assert places((again,), slots(1)) == [("host-a", 0)]
    assert places((again, again), slots(1)) == [("host-a", 0)]
    assert places((again,), ()) == []


def slots_of(host: str, *failed_starts: int, failing: int = 0) -> tuple[FreeSlot, ...]:
    return tuple(
        FreeSlot(host=host, slot=number, pool="linux", failed_starts=failed, failing_slots=failing)
        for number, failed in enumerate(failed_starts)
    )


def test_a_host_whose_starts_fail_gives_last() -> None:
    """T26. Two slots speak against a host; one slot only against itself."""
    jobs = tuple(waiting(number) for number in range(4))
    free = (*slots_of("host-a", 0, 0, failing=2), *slots_of("host-b", 0, 0))
    load = {"host-b": 9}
    assert places(jobs, free, host_load=load) == [("host-b", 0), ("host-b", 1), ("host-a", 0), ("host-a", 1)]
    free = (*slots_of("host-a", 3, 0, failing=1), *slots_of("host-b", 0, 0))
    assert places(jobs, free, host_load=load) == [("host-a", 1), ("host-b", 0), ("host-b", 1), ("host-a", 0)]


@given(
    free=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 2)), max_size=10, unique=True),
    jobs=st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(1, 3)), max_size=3)),
)
def test_whatever_failed_before_every_slot_is_given_once(
    free: list[tuple[str, int, int]], jobs: list[list[tuple[str, int, int]]]
) -> None:
    offered = {
        (host, slot): FreeSlot(host=host, slot=slot, pool="linux", failed_starts=failed, failing_slots=failed)
        for host, slot, failed in free
    }
    work = tuple(waiting(number, given_up=tuple(given_up)) for number, given_up in enumerate(jobs))
    found = places(work, tuple(offered.values()))
    assert len(found) == len(set(found)) == min(len(offered), len(work))


def test_a_capped_owner_is_told_and_holds_up_nobody() -> None:
    jobs = (waiting(1), waiting(2), waiting(3, owner="other", repository="other/app"))
    policy = Policy(pools=POLICY.pools, max_slots={"acme": 1})
    decisions = decide(snapshot(jobs, slots(3)), policy)
    assert placed(decisions) == [1, 3]
    assert [(each.job.id, each.cause) for each in decisions if isinstance(each, Withhold)] == [(2, "capped")]


def test_forks_stay_out_of_a_pool_that_does_not_trust_them() -> None:
    policy = Policy(pools={"linux": a_pool(trust="no-forks")}, max_slots={})
    decisions = decide(snapshot((waiting(1, fork=True), waiting(2)), slots(3)), policy)
    assert placed(decisions) == [2]
    assert [each.cause for each in decisions if isinstance(each, Withhold)] == ["reserved"]


def test_a_listed_pool_serves_listed_repositories_only() -> None:
    policy = Policy(pools={"linux": a_pool(trust="listed", repositories=("Acme/App",))}, max_slots={})
    jobs = (waiting(1), waiting(2, repository="acme/other"))
    assert placed(decide(snapshot(jobs, slots(2)), policy)) == [1]


@given(
    jobs=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["linux", "mac"])), max_size=30),
    free=st.integers(0, 12),
    caps=st.dictionaries(st.sampled_from("abc"), st.integers(0, 5)),
    used=st.dictionaries(st.sampled_from("abc"), st.integers(0, 5)),
)
def test_whatever_the_snapshot_caps_hold_and_slots_are_used_once(
    jobs: list[tuple[str, str]], free: int, caps: dict[str, int], used: dict[str, int]
) -> None:
    work = tuple(waiting(number, owner=owner, pool=pool) for number, (owner, pool) in enumerate(jobs))
    policy = Policy(pools={"linux": a_pool(), "mac": a_pool(name="mac")}, max_slots=caps)
    offered = (*slots(free), *slots(2, "host-m", "mac"))
    decisions = decide(snapshot(work, offered, live_claims=used), policy)
    places = [each for each in decisions if isinstance(each, Place)]
    assert len({(each.slot.host, each.slot.slot) for each in places}) == len(places)
    assert len({each.job.id for each in places}) == len(places)
    for each in places:
        assert each.slot.pool == each.job.pool
    for owner, cap in caps.items():
        new = sum(1 for each in places if each.job.owner == owner)
        assert new == 0 or used.get(owner, 0) + new <= cap
    # Work conserving: a free slot and a job that nothing keeps out never stay together.
    for pool in ("linux", "mac"):
        left = [job for job in work if job.pool == pool and job.id not in {each.job.id for each in places}]
        spare = sum(1 for slot in offered if slot.pool == pool) - sum(1 for each in places if each.slot.pool == pool)
        reasons = {each.job.id for each in decisions if isinstance(each, Withhold)}
        assert spare == 0 or all(job.id in reasons for job in left)
