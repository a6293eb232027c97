"""No job begins where it has no room, and none is held up where it has (R51, P14)."""

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from andon.rules.disk_admission import DiskFacts, Filesystem, Occupant, Rooms, shortage_facts, shortage_text
from andon.rules.dispatch import NO_DISK, FreeSlot, Place, Policy, Withhold, decide
from andon.rules.growth import Basis, Expected
from tests.rules.test_dispatch import snapshot, waiting
from tests.support.builders import a_pool

GIB = 2**30
POLICY = Policy(pools={"linux": a_pool()}, max_slots={})


def kind(size: int) -> Expected:
    return Expected(bytes=size, basis=Basis.KIND)


def guess(size: int) -> Expected:
    return Expected(bytes=size, basis=Basis.NOTHING)


def a_filesystem(free: int, **changes: Any) -> Filesystem:
    given: dict[str, Any] = {"mount": "/data", "free": free, "floor": 0, "slots": tuple(range(8))}
    return Filesystem(**{**given, **changes})


def rooms(free: int, *running: Occupant, **changes: Any) -> Rooms:
    return Rooms(DiskFacts(filesystems={"a": (a_filesystem(free, **changes),)}, occupants=running))


def running(slot: int, need: Expected, written: int = 0) -> Occupant:
    return Occupant(host="a", slot=slot, expected=need, written=written)


def test_three_builds_of_47_gb_on_100_gb_free_run_two_at_a_time() -> None:
    """The number of R51, at a floor of 6 GB."""
    here = rooms(100 * GIB, floor=6 * GIB)
    started = 0
    for slot in range(3):
        if here.fits("a", slot, kind(47 * GIB)):
            here.take("a", slot, kind(47 * GIB))
            started += 1
    assert started == 2
    short = here.shortage([("a", 2)], kind(47 * GIB))
    assert short is not None and (short.reserved, short.lacking) == (94 * GIB, 47 * GIB)


def test_what_a_running_job_has_written_is_not_promised_again() -> None:
    begun = running(0, kind(47 * GIB), written=40 * GIB)
    assert rooms(60 * GIB, begun, floor=6 * GIB).fits("a", 1, kind(47 * GIB))
    assert not rooms(60 * GIB - 1, begun, floor=6 * GIB).fits("a", 1, kind(47 * GIB))
    over = running(0, kind(10), written=10**12)
    assert rooms(50, over).fits("a", 1, kind(50)), "one that wrote more than expected frees nothing"


def test_a_host_that_tells_of_no_filesystem_admits_as_before() -> None:
    here = Rooms(DiskFacts(filesystems={}))
    assert here.fits("b", 0, kind(10**15)) and here.shortage([("b", 0)], kind(10**15)) is None


def test_a_slot_that_writes_nowhere_that_is_told_admits_as_before() -> None:
    assert rooms(0, slots=(0,)).fits("a", 5, kind(10**15))


def test_the_first_guess_begins_where_nothing_is_promised() -> None:
    """Else a small disk would never learn what its jobs write; the second one waits."""
    here = rooms(3 * GIB, floor=GIB)
    assert here.fits("a", 0, guess(10 * GIB)) and not here.fits("a", 0, kind(10 * GIB))
    here.take("a", 0, guess(10 * GIB))
    assert not here.fits("a", 1, guess(10 * GIB))
    assert not rooms(3 * GIB, running(7, kind(1))).fits("a", 1, guess(10 * GIB))
    assert not rooms(GIB, floor=GIB).fits("a", 0, guess(10 * GIB)), "never below the floor"
    assert not rooms(3 * GIB, admits=False).fits("a", 0, guess(1))


def test_a_job_needs_room_on_every_filesystem_that_it_writes_to() -> None:
    both = (a_filesystem(100), a_filesystem(10, mount="/"))
    here = Rooms(DiskFacts(filesystems={"a": both}))
    assert here.fits("a", 0, kind(10)) and not here.fits("a", 0, kind(11))
    here.take("a", 0, kind(11))
    assert here.reserved() == {("a", "/data"): 0, ("a", "/"): 0}, "nothing is promised where it does not begin"


needs = st.builds(Expected, bytes=st.integers(0, 60), basis=st.sampled_from(Basis))
occupants = st.builds(Occupant, host=st.just("a"), slot=st.integers(0, 7), expected=needs, written=st.integers(0, 80))


@given(
    free=st.integers(0, 120),
    floor=st.integers(0, 30),
    there=st.lists(occupants, max_size=4),
    wanted=st.lists(needs, max_size=8),
    rng=st.randoms(use_true_random=False),
)
def test_never_more_is_promised_than_is_free_above_the_floor(
    free: int, floor: int, there: list[Occupant], wanted: list[Expected], rng: Random
) -> None:
    here = rooms(free, *there, floor=floor)
    before = here.reserved()["a", "/data"]
    begun: list[Expected] = []
    for slot, need in enumerate(wanted):
        if here.fits("a", slot, need):
            here.take("a", slot, need)
            begun.append(need)
    after = here.reserved()["a", "/data"]
    if begun:
        assert after <= free - floor, "what is promised stays free, and the floor with it"
        known = sum(need.bytes for need in begun)
        # The one exception: a guess on a filesystem where nobody was promised anything is promised what there is.
        alone = not there and begun[0].basis is not Basis.KIND
        assert after - before == known or (alone and after - before < known)
    else:
        assert after == before
    shuffled = list(there)
    rng.shuffle(shuffled)
    again = rooms(free, *shuffled, floor=floor)
    assert [again.fits("a", 0, need) for need in wanted] == [
        rooms(free, *there, floor=floor).fits("a", 0, need) for need in wanted
    ]


def three_hosts(**free: int) -> dict[str, tuple[Filesystem, ...]]:
    return {host: (a_filesystem(room),) for host, room in free.items()}


def free_slots(*hosts: str, count: int = 2) -> tuple[FreeSlot, ...]:
    return tuple(FreeSlot(host=host, slot=slot, pool="linux") for host in hosts for slot in range(count))


def decided(facts: DiskFacts, jobs: int, free: tuple[FreeSlot, ...], **changes: Any) -> tuple[Any, ...]:
    return decide(snapshot(tuple(waiting(n) for n in range(jobs)), free, disks=facts, **changes), POLICY)


def test_jobs_go_where_they_have_room_though_others_are_emptier() -> None:
    facts = DiskFacts(filesystems=three_hosts(a=10, b=10, c=100), needs={n: kind(40) for n in range(3)})
    found = decided(facts, 3, free_slots("a", "b", "c", count=3), host_load={"c": 9})
    assert [(each.slot.host) for each in found if isinstance(each, Place)] == ["c", "c"]
    (left,) = [each for each in found if isinstance(each, Withhold)]
    assert (left.job.id, left.cause) == (2, NO_DISK)
    assert (left.facts["host"], left.facts["hosts"], left.facts["lacking"]) == ("c", 3, 20)


def test_a_job_without_room_holds_up_none_that_has() -> None:
    needs = {0: kind(500), 1: kind(500), 2: kind(1), 3: kind(500), 4: kind(1)}
    facts = DiskFacts(filesystems=three_hosts(a=10), needs=needs)
    found = decided(facts, 5, free_slots("a", count=4))
    assert [each.job.id for each in found if isinstance(each, Place)] == [2, 4]
    assert [each.job.id for each in found if isinstance(each, Withhold)] == [0, 1, 3]


def test_a_job_that_was_given_up_goes_only_where_it_has_room() -> None:
    facts = DiskFacts(filesystems=three_hosts(a=100, b=10), needs={1: kind(40)})
    again = waiting(1, given_up=(("a", 0, 3),))
    found = decide(snapshot((again,), free_slots("a", "b"), disks=facts), POLICY)
    assert [(each.slot.host, each.slot.slot) for each in found if isinstance(each, Place)] == [("a", 1)]
    nowhere = DiskFacts(filesystems=three_hosts(a=10, b=10), needs={1: kind(40)})
    (left,) = decide(snapshot((again,), free_slots("a", "b"), disks=nowhere), POLICY)
    assert isinstance(left, Withhold) and left.cause == NO_DISK


def test_without_a_free_slot_nothing_is_said_of_room() -> None:
    facts = DiskFacts(filesystems=three_hosts(a=1), needs={0: kind(40)})
    assert decided(facts, 1, ()) == ()


@given(
    free=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    sizes=st.lists(st.integers(0, 40), max_size=12),
)
def test_every_job_is_placed_or_told_and_no_host_is_overfilled(free: list[int], sizes: list[int]) -> None:
    hosts = {chr(ord("a") + n): room for n, room in enumerate(free)}
    facts = DiskFacts(filesystems=three_hosts(**hosts), needs={n: kind(size) for n, size in enumerate(sizes)})
    found = decided(facts, len(sizes), free_slots(*hosts, count=3))
    placed = [each for each in found if isinstance(each, Place)]
    for host, room in hosts.items():
        assert sum(sizes[each.job.id] for each in placed if each.slot.host == host) <= room
    told = {each.job.id for each in found}
    taken = {(each.slot.host, each.slot.slot) for each in placed}
    if len(taken) < 3 * len(hosts):
        assert told == set(range(len(sizes))), "while slots are free each job is placed, or told why not"


def test_the_sentence_says_the_numbers() -> None:
    here = rooms(50 * GIB, running(0, kind(20 * GIB)), floor=5 * GIB)
    short = here.shortage([("a", 1)], kind(47 * GIB))
    assert short is not None
    assert shortage_text(short) == (
        "It is expected to write 47.0 GiB (as its last runs did), and a (/data) has no room for that: 50.0 GiB are "
        "free, 20.0 GiB are promised to running jobs, and 5.0 GiB must stay free."
    )
    assert shortage_facts(short)["lacking"] == 22 * GIB
    for total, size, too_large in ((60 * GIB, 56 * GIB, True), (60 * GIB, 55 * GIB, False), (None, 10**15, False)):
        here = rooms(0, floor=5 * GIB, total=total)
        never = here.shortage([("a", 1)], kind(size))
        assert never is not None and never.too_large is too_large
        assert shortage_text(never).endswith("Even empty, no disk there is large enough for it.") is too_large
    guessed = rooms(0, total=1).shortage([("a", 1)], guess(10 * GIB))
    assert guessed is not None and not guessed.too_large, "a guess says nothing of that"
    closed = rooms(GIB, admits=False).shortage([("a", 1)], kind(1))
    assert closed is not None
    assert "takes no new jobs for want of space: a (/data) has 1.0 GiB free" in shortage_text(closed)
