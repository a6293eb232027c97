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
