"""How much a job is expected to write where it runs: the p95 of what its last runs wrote (R51).

A kind of job is a repository, the workflow's key of the job, and the pool. GitHub names a job that waits by another
name than its key, so each kind keeps the names that its jobs had.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

SIZES_OF_A_KIND = 50
SIZES_OF_A_POOL = 200
NAMES_OF_A_KIND = 100
"""Legs of a matrix have a name each."""
UNHEARD_OF = 10 * 2**30
"""Bytes that a job is expected to write of whose kind, and in whose pool, nothing is known yet (R51)."""


class Basis(StrEnum):
    """What an expectation stands on."""

    KIND = "kind"
    """What jobs of the same kind wrote."""
    POOL = "pool"
    """What jobs of the same pool wrote: this kind is new here."""
    NOTHING = "nothing"


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """So many bytes, and why."""

    bytes: int
    basis: Basis


class Learnt(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of job, or a whole pool: then repository and key are empty."""

    repository: str
    """In lower case."""
    job_key: str
    pool: str
    p95: int
    names: tuple[str, ...] = ()
    """Of its jobs, as GitHub told them."""


def p95(sizes: Sequence[int]) -> int:
    """The smallest of the sizes that 95 % of them do not pass; of few sizes the largest. Raises ValueError for none."""
    if not sizes:
        raise ValueError("no sizes to judge by")
    at = -(-95 * len(sizes) // 100)
    return sorted(sizes)[at - 1]


class Growth:
    """What is known of all kinds, to be asked for one job after the other."""

    def __init__(self, learnt: Iterable[Learnt]) -> None:
        self._pools: dict[str, int] = {}
        self._keys: dict[tuple[str, str, str], int] = {}
        self._names: dict[tuple[str, str, str], int] = {}
        for each in learnt:
            if not each.repository:
                self._pools[each.pool] = each.p95
                continue
            self._keys[each.repository, each.pool, each.job_key] = each.p95
            for name in each.names:
                place = each.repository, each.pool, name
                # Two workflows may call their jobs alike: the larger one of them is promised.
                self._names[place] = max(each.p95, self._names.get(place, 0))

    def of_key(self, repository: str, pool: str, key: str | None) -> Expected:
        """For a job that runs: its workspace says its key."""
        found = None if key is None else self._keys.get((repository.lower(), pool, key))
        return self._of_pool(pool) if found is None else Expected(bytes=found, basis=Basis.KIND)

    def of_name(self, repository: str, pool: str, name: str | None) -> Expected:
        """For a job of which only GitHub's name is known: a name seen before, else `key (leg of a matrix)`."""
        if name is None:
            return self._of_pool(pool)
        place = repository.lower(), pool, name
        found = self._names.get(place)
        if found is None:
            found = self._keys.get((*place[:2], name.partition(" (")[0]))
        return self._of_pool(pool) if found is None else Expected(bytes=found, basis=Basis.KIND)

    def _of_pool(self, pool: str) -> Expected:
        found = self._pools.get(pool)
        if found is None:
            return Expected(bytes=UNHEARD_OF, basis=Basis.NOTHING)
        return Expected(bytes=found, basis=Basis.POOL)
