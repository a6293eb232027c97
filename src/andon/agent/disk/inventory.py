"""Every path that the agent has to do with, with its class, its owner and its lease (R47, incidents.md P13).

Below the agent's root everything has a class, or is unknown and an alarm. Outside it only what was declared is looked
at: the work folders of adopted runners, whose checkouts are those runners' own until they are old, and named caches.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from andon.agent.declared.checkouts import kind_of
from andon.agent.declared.things import Thing
from andon.agent.disk.measuring import ToMeasure
from andon.agent.held import GONE_MARK, NEW_MARK
from andon.agent.layout import Root
from andon.agent.workspaces.identity import parse
from andon.agent.workspaces.making import PARTIAL_MARK
from andon.agent.workspaces.work_trash import TRASH as LEFT_TRASH
from andon.model.disk import PathClass
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import LeaseRecord
from andon.rules.declared_life import InWork
from andon.runtime.files import is_unfinished

Identity = tuple[int, int]
_MOST = 2000
"""Paths of one folder at one look: job code may fill a folder of its own."""


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """One path that is accounted for as a whole."""

    path: Path
    identity: Identity
    path_class: PathClass
    owner: str
    """Whose it is, in words: `run 7, attempt 1, job build`, `the runner of claim clm_1`, `the agent`."""
    lease: str | None = None
    still: bool = False
    """Nothing writes there any more."""
    bytes: int | None = None


class Inventory:
    """`live_claims` gives the ids of claims whose runner lives; `works` the work folders of adopted runners, by slot;
    `compile_caches` the folders of compile caches, with whose they are; `declared` what may go outside the root;
    `named_caches` the caches among it."""

    def __init__(
        self,
        root: Root,
        records: Callable[[], Iterable[LeaseRecord]],
        live_claims: Callable[[], frozenset[str]],
        works: Callable[[], Mapping[int, Path]],
        *,
        compile_caches: Callable[[], Mapping[Path, str]] = dict,
        declared: Callable[[], Iterable[Thing]] = tuple,
        named_caches: Callable[[], Mapping[Path, Identity]] = dict,
    ) -> None:
        self._root, self._records, self._live_claims, self._works = root, records, live_claims, works
        self._compile_caches, self._declared, self._named_caches = compile_caches, declared, named_caches

    def take(self) -> tuple[Owned, ...]:
        """All of it, sizes left out. Blocks a little: some hundred looks at directories."""
        records = {record.path: record for record in self._records()}
        found = tuple(one for each in self._parts(records) for one in each)
        # Those in the work folder of a claim's runner lie in what is accounted for as a whole.
        within = records.keys() - {str(one.path) for one in found}
        more = (one for path in sorted(within) for one in _owned(Path(path), _of_workspaces(Path(path), records)))
        return (*found, *more)

    def _parts(self, records: Mapping[str, LeaseRecord]) -> Iterator[Iterator[Owned]]:
        root = self._root
        yield self._top()
        yield self._below(root.runs, lambda path: _of_workspaces(path, records))
        yield self._below(root.standalone, lambda path: _of_workspaces(path, records))
        yield self._below(root.slots, self._of_claims)
        yield _each(root.trash, _trash)
        yield _each(root.bases, lambda path: _Word(PathClass.BASE, f"base {path.name}"))
        yield from self._of_compile_caches()
        for slot, work in self._works().items():
            yield self._of_work(slot, work, records)
        for cache, identity in self._named_caches().items():
            owner = f"the cache {cache}"
            yield iter((Owned(path=cache, identity=identity, path_class=PathClass.CACHE, owner=owner),))
            yield _each(cache / LEFT_TRASH, _trash)

    def _top(self) -> Iterator[Owned]:
        """What lies in the root itself; folders with a meaning of their own are looked into elsewhere."""
        root = self._root
        parted = {root.runs, root.standalone, root.slots, root.trash, root.bases, root.caches}
        for path in _paths(self._root.path):
            if path in parted:
                continue
            ours = path in self._root.own() or is_unfinished(path.name)
            word = _Word(PathClass.LIVE, "the agent") if ours else _Word(PathClass.UNKNOWN, "nobody that we know")
            yield from _owned(path, word)

    def _below(self, folder: Path, word_of: "Callable[[Path], _Word]") -> Iterator[Owned]:
        """What lies in the folder of each slot; what is no slot's is unknown."""
        for slot in _paths(folder):
            if slot.name.isascii() and slot.name.isdigit() and slot.is_dir() and not slot.is_symlink():
                yield from _each(slot, word_of)
            else:
                yield from _owned(slot, _UNKNOWN)

    def _of_compile_caches(self) -> Iterator[Iterator[Owned]]:
        """One that is served by nobody, since the configuration names none any more, is still a cache."""
        whose = self._compile_caches()

        def word_of(path: Path) -> _Word:
            if path.is_dir():
                return _Word(PathClass.CACHE, whose.get(path, f"the compile cache {path.name}, which is not used"))
            return _Word(PathClass.LIVE, "the agent")

        for program in _paths(self._root.caches):
            yield _each(program, word_of)

    def _of_claims(self, path: Path) -> "_Word":
        name = path.name.removeprefix(GONE_MARK).removeprefix(NEW_MARK)
        if name == path.name and name.startswith("."):
            return _Word(PathClass.LIVE, "a start that is tried on the slot")
        if path.name in self._live_claims():
            return _Word(PathClass.LIVE, f"the runner of claim {name}")
        return _Word(PathClass.DEAD, f"claim {name}, which is over")

    def _of_work(self, slot: int, work: Path, records: Mapping[str, LeaseRecord]) -> Iterator[Owned]:
        old = {one.path for one in self._declared()}
        for path in _paths(work):
            if path.name == LEFT_TRASH:
                yield from _each(path, _trash)
            elif path.name == "_andon":
                yield from _each(path, lambda each: _of_workspaces(each, records))
            elif kind_of(path) is InWork.STRANGE:
                yield from _owned(path, _UNKNOWN)
            else:
                its = PathClass.DEAD if path in old else PathClass.CACHE
                yield from _owned(path, _Word(its, f"the adopted runner of slot {slot}"))


def to_measure(found: Iterable[Owned]) -> tuple[ToMeasure, ...]:
    """What is worth measuring, what may go soonest first. The agent's own files are few and small."""
    rank = {PathClass.DEAD: 0, PathClass.UNKNOWN: 1, PathClass.LIVE: 2, PathClass.CACHE: 3}
    worth = sorted((one for one in found if one.path_class in rank), key=lambda one: rank[one.path_class])
    return tuple(ToMeasure(path=one.path, identity=one.identity, still=one.still) for one in worth)


class _Word(msgspec.Struct, frozen=True):
    path_class: PathClass
    owner: str
    lease: str | None = None
    still: bool = False


_UNKNOWN = _Word(PathClass.UNKNOWN, "nobody that we know")


def _trash(path: Path) -> _Word:
    return _Word(PathClass.TRASH, "nobody any more", still=True)


def _of_workspaces(path: Path, records: Mapping[str, LeaseRecord]) -> _Word:
    if path.name == ".trash":
        return _Word(PathClass.TRASH, "nobody any more")
    record = records.get(str(path))
    if record is None:
        if path.name.startswith(PARTIAL_MARK):
            return _Word(PathClass.LIVE, "a job whose workspace is being made")
        # Found and leased at the keeper's next look; until then something may use it.
        return _Word(PathClass.LIVE, "not known yet") if parse(path.name) is not None else _UNKNOWN
    dead = record.state in (WorkspaceState.DEAD, WorkspaceState.TRASHED)
    owner = f"run {record.job.run_id}, attempt {record.job.attempt}, job {record.job.job or 'not known'}"
    return _Word(PathClass.DEAD if dead else PathClass.LIVE, owner, record.id, dead)


def _each(folder: Path, word_of: Callable[[Path], _Word]) -> Iterator[Owned]:
    for path in _paths(folder):
        yield from _owned(path, word_of(path))


def _owned(path: Path, word: _Word) -> Iterator[Owned]:
    try:
        found = path.lstat()
    except OSError:
        return
    yield Owned(
        path=path,
        identity=(found.st_dev, found.st_ino),
        path_class=word.path_class,
        owner=word.owner,
        lease=word.lease,
        still=word.still,
    )


def _paths(folder: Path) -> list[Path]:
    """The names in a folder that is one; none where a link stands in its place, or it cannot be read."""
    try:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        with os.scandir(file) as entries:
            return [folder / entry.name for entry, _ in zip(entries, range(_MOST), strict=False)]
    except OSError:
        return []
    finally:
        os.close(file)
