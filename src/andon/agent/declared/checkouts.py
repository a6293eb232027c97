"""Checkouts in the work folders of adopted runners that no job has changed for long, and that no job runs beside.

`_work/<repository>` alone, as the runner makes it, of the runner's own user. Its runner is looked at when the checkout
is found old, when it is about to go, and once more when it went: a job process needs longer to come up than that.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from andon.agent.adoption.processes import look_at_folders
from andon.agent.adoption.slots import AdoptedSlot
from andon.agent.declared.things import Identity, Thing
from andon.agent.leases.mounts import mount_of
from andon.agent.process_identity import lives
from andon.agent.trees.size import Broken, TreeFacts, tree_facts
from andon.agent.trees.system_calls import open_beneath, open_without_links
from andon.model.disk import PathClass
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import LeaseRecord
from andon.rules.declared_life import InWork, checkout_is_old, kind_in_work
from andon.rules.disk_plan import Rank

AGAIN_S = 600.0
"""Between two walks over one that is old; of a young one it is known when it may be."""
_MOST = 2000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class _Looked(msgspec.Struct, frozen=True, kw_only=True):
    facts: TreeFacts
    at: float


class Checkouts:
    """`slots` gives the adopted runners, `days` what was declared (None: nothing goes), `now` a steady time of day,
    `records` every lease. All of it blocks, and belongs into a thread."""

    def __init__(
        self,
        slots: Callable[[], tuple[AdoptedSlot, ...]],
        records: Callable[[], Iterable[LeaseRecord]],
        days: float | None,
        *,
        now: Callable[[], float],
        go_on: Callable[[], bool],
    ) -> None:
        self._slots, self._records, self._days, self._now, self._go_on = slots, records, days, now, go_on
        self._known: dict[tuple[Path, Identity], _Looked] = {}

    def old(self) -> tuple[Thing, ...]:
        """Those that may go, as far as their age and their runners say."""
        if self._days is None:
            return ()
        found = [(slot, path, facts) for slot in self._slots() for path, facts in _checkouts_of(slot)]
        here = {(path, (facts.st_dev, facts.st_ino)) for _, path, facts in found}
        self._known = {key: looked for key, looked in self._known.items() if key in here}
        busy = self._busy({slot for slot, _, _ in found})
        return tuple(
            one
            for slot, path, facts in found
            if slot.slot not in busy and (one := self._if_old(slot, path, facts, self._days)) is not None
        )

    def _if_old(self, slot: AdoptedSlot, path: Path, found: os.stat_result, days: float) -> Thing | None:
        identity = found.st_dev, found.st_ino
        facts = self._facts(path, identity, days)
        if facts is None or not facts.whole or not checkout_is_old(facts.changed_at, self._now(), days):
            return None
        return Thing(
            id=str(path),
            path=path,
            identity=identity,
            home=slot.work,
            rank=Rank.CHECKOUT,
            path_class=PathClass.DEAD,
            owner=f"the adopted runner of slot {slot.slot}",
            why=f"a checkout that no job changed for {days:g} days",
            uid=found.st_uid,
            bytes=facts.bytes,
            used_at=facts.changed_at,
            around=None if _is_mounted(slot.work) else slot.work,
        )

    def _facts(self, path: Path, identity: Identity, days: float) -> TreeFacts | None:
        now, key = self._now(), (path, identity)
        known = self._known.get(key)
        if known is not None and (not checkout_is_old(known.facts.changed_at, now, days) or now - known.at < AGAIN_S):
            return known.facts
        try:
            facts = tree_facts(path, go_on=self._go_on)
        except (OSError, Broken):
            return None
        self._known[key] = _Looked(facts=facts, at=now)
        return facts

    def why_not_now(self, one: Thing) -> str | None:
        """Looks once more at how old it is, before anything is locked; why it stays, or None."""
        self._known.pop((one.path, one.identity), None)
        facts = None if self._days is None else self._facts(one.path, one.identity, self._days)
        if facts is None or self._days is None or not facts.whole:
            return "When it was last changed cannot be told."
        return None if checkout_is_old(facts.changed_at, self._now(), self._days) else "A job changed it just now."

    def why_stays(self, one: Thing) -> str | None:
        """Whether a job runs on its runner, or may; None: none does."""
        slot = next((slot for slot in self._slots() if slot.work == one.home), None)
        if slot is None:
            return "Its runner is adopted no more."
        return self._busy({slot}).get(slot.slot)

    def _busy(self, slots: Iterable[AdoptedSlot]) -> dict[int, str]:
        """By slot, why something of its work folder may be in use."""
        slots = tuple(slots)
        out: dict[int, str] = {}
        sights = look_at_folders((slot.folder, slot.uid) for slot in slots)
        for slot in slots:
            sight = sights[slot.folder]
            if sight.workers:
                out[slot.slot] = f"A job runs on its runner (pid {sight.workers[0].pid})."
            elif sight.unclear is not None:
                out[slot.slot] = f"Whether a job runs on its runner cannot be told: {sight.unclear}."
        for record in self._records():
            process = record.process
            if record.state is WorkspaceState.LEASED and process is not None and lives(process.pid, process.start):
                out.setdefault(record.slot, f"A job runs on its runner (pid {process.pid}).")
        return out


def _is_mounted(work: Path) -> bool:
    """Whether it is a filesystem's own top: then its mount is no container's."""
    mount = mount_of(work)
    return mount is not None and mount.point == str(work)


def kind_of(path: Path) -> InWork:
    """What a name in a runner's work folder is. What cannot be looked into counts as a checkout: nobody's alarm, and it
    goes nowhere, for it cannot be walked over either."""
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            return kind_in_work(path.name, is_folder=False, inside=frozenset())
        with os.scandir(path) as entries:
            first = next(entries, None)
    except OSError:
        return InWork.CHECKOUT
    inside = frozenset[str]() if first is None else frozenset({first.name})
    if (path / path.name).is_dir() and not (path / path.name).is_symlink():
        inside |= {path.name}
    return kind_in_work(path.name, is_folder=True, inside=inside)


def _checkouts_of(slot: AdoptedSlot) -> Iterator[tuple[Path, os.stat_result]]:
    """Each checkout of the runner's own user in its work folder; no link on the way is followed."""
    try:
        work = open_without_links(str(slot.work), _FOLDER)
    except OSError:
        return
    try:
        with os.scandir(work) as entries:
            names = [entry.name for entry, _ in zip(entries, range(_MOST), strict=False)]
        for name in sorted(names):
            with contextlib.suppress(OSError):
                found = _checkout(work, name)
                if found is not None and found.st_uid == slot.uid:
                    yield slot.work / name, found
    except OSError:
        return
    finally:
        os.close(work)


def _checkout(work: int, name: str) -> os.stat_result | None:
    """What `name` is, when it is a checkout with something in it. Raises OSError."""
    if kind_in_work(name, is_folder=True, inside=frozenset({name})) is not InWork.CHECKOUT:
        return None
    folder = open_beneath(work, name, _FOLDER)
    try:
        inner = open_beneath(folder, name, _FOLDER)
        os.close(inner)
        return os.fstat(folder)
    finally:
        os.close(folder)
