"""Our identifiers are unique and sort by the order of their making, one by one or many at once."""

from concurrent.futures import ThreadPoolExecutor
from random import Random

from andon.runtime.ids import SortableIds, system_random
from andon.sim.virtual_time import VirtualClock


def test_ids_sort_by_the_order_of_their_making() -> None:
    clock = VirtualClock()
    ids = SortableIds(clock, Random(1))
    made = [*ids.many("clm", 50), ids.new("clm")]
    clock.advance(0.002)
    made += ids.many("clm", 50)
    assert made == sorted(made)
    assert len(set(made)) == 101
    assert {(len(each), each[:4]) for each in made} == {(24, "clm_")}


def test_none_at_all_is_an_answer() -> None:
    assert SortableIds(VirtualClock(), Random(1)).many("clm", 0) == []


def test_threads_and_processes_do_not_make_the_same() -> None:
    clock = VirtualClock()
    sources = [SortableIds(clock, system_random()) for _ in range(2)]

    def make(number: int) -> list[str]:
        return sources[number % 2].many("x", 100)

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(make, range(40)))
    assert len({each for made in found for each in made}) == 4000
