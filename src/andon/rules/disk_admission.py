"""Whether a job may begin where it would write: what is promised to running jobs stays free, and the floor with it
(R51, incidents.md P14).

    free - sum over jobs that may still write there of max(0, expected - written) - expected of the new one >= floor

A host that reports no disk is admitted as before: absence is not evidence (law 4). A job of a kind that nobody has
seen is expected to write what its pool's jobs write, or 10 GiB; such a guess keeps no filesystem from its first
job, on which nothing is promised to anybody: then the guess is what there is. Else a small disk would never learn.
"""

from collections.abc import Iterable, Mapping

import msgspec

from andon.rules.growth import Basis, Expected
from andon.rules.size_words import size

MOST = 2**63 - 1


class Filesystem(msgspec.Struct, frozen=True, kw_only=True):
    """What admission needs of a `model.disk.DiskReport`."""

    mount: str
    free: int
    total: int | None = None
    """None: not known."""
    floor: int = 0
    admits: bool = True
    slots: tuple[int, ...] = ()


class Occupant(msgspec.Struct, frozen=True, kw_only=True):
    """A slot whose job may still write."""

    host: str
    slot: int
    expected: Expected
    written: int = 0

    @property
    def promised(self) -> int:
        """What it may write on."""
        return max(0, self.expected.bytes - self.written)


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job may not begin: the numbers of the filesystem with the most room."""

    host: str
    mount: str
    free: int
    reserved: int
    expected: Expected
    floor: int
    admits: bool
    hosts: int
    """How many hosts had a free slot, and no room."""
    too_large: bool = False
    """It would not even fit if nothing else were there, on any of them."""

    @property
    def lacking(self) -> int:
        """Bytes that would have to become free."""
        return max(0, self.floor + self.expected.bytes + self.reserved - self.free)


class DiskFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that admission looks at, read in one transaction."""

    filesystems: Mapping[str, tuple[Filesystem, ...]]
    """By host; only hosts that report any."""
    occupants: tuple[Occupant, ...] = ()
    needs: Mapping[int, Expected] = {}
    """By waiting job."""


class _Room:
    """One filesystem, as it stands in this round."""

    def __init__(self, host: str, filesystem: Filesystem) -> None:
        self.host, self.filesystem = host, filesystem
        self.reserved = 0
        self.jobs = 0

    @property
    def left(self) -> int:
        return self.filesystem.free - self.reserved - self.filesystem.floor

    def promise(self, need: Expected) -> int | None:
        """What the job would be promised here; None: it may not begin."""
        if not self.filesystem.admits:
            return None
        if need.bytes <= self.left:
            return need.bytes
        if need.basis is not Basis.KIND and self.jobs == 0 and self.left > 0:
            return self.left
        return None

    def is_too_small(self, need: Expected) -> bool:
        """Whether it could never fit. A guess says nothing of that."""
        total = self.filesystem.total
        return total is not None and need.basis is Basis.KIND and need.bytes + self.filesystem.floor > total

    def take(self, promised: int) -> None:
        self.reserved += promised
        self.jobs += 1


class Rooms:
    """The filesystems of all hosts in one round: each job that begins takes its part of what is left."""

    def __init__(self, facts: DiskFacts) -> None:
        self._of_slot: dict[tuple[str, int], list[_Room]] = {}
        self._rooms: list[_Room] = []
        for host, filesystems in facts.filesystems.items():
            for filesystem in filesystems:
                room = _Room(host, filesystem)
                self._rooms.append(room)
                for slot in filesystem.slots:
                    self._of_slot.setdefault((host, slot), []).append(room)
        for each in facts.occupants:
            for room in self._of_slot.get((each.host, each.slot), ()):
                room.take(each.promised)

    def admits(self, host: str, slot: int) -> bool:
        """Whether every filesystem that the slot's jobs write to takes jobs at all."""
        return all(room.filesystem.admits for room in self._of_slot.get((host, slot), ()))

    def fits(self, host: str, slot: int, need: Expected) -> bool:
        """Whether a job that needs so much may begin on the slot."""
        return all(room.promise(need) is not None for room in self._of_slot.get((host, slot), ()))

    def take(self, host: str, slot: int, need: Expected) -> None:
        """It begins there. Nothing is promised where it does not fit."""
        if self.fits(host, slot, need):
            for room in self._of_slot.get((host, slot), ()):
                room.take(room.promise(need) or 0)

    def shortage(self, slots: Iterable[tuple[str, int]], need: Expected) -> Shortage | None:
        """Why a job that needs so much may begin on none of these slots; None: it may, or there are none."""
        worst: list[_Room] = []
        for host, slot in slots:
            short = [room for room in self._of_slot.get((host, slot), ()) if room.promise(need) is None]
            if not short:
                return None
            worst.append(min(short, key=_most_room))
        if not worst:
            return None
        best = max(worst, key=_most_room)
        return Shortage(
            host=best.host,
            mount=best.filesystem.mount,
            free=best.filesystem.free,
            reserved=min(best.reserved, MOST),
            expected=need,
            floor=best.filesystem.floor,
            admits=best.filesystem.admits,
            hosts=len({room.host for room in worst}),
            too_large=all(room.is_too_small(need) for room in worst),
        )

    def reserved(self) -> dict[tuple[str, str], int]:
        """By host and mount, what is promised and not written yet."""
        return {(room.host, room.filesystem.mount): min(room.reserved, MOST) for room in self._rooms}


def _most_room(room: _Room) -> tuple[bool, int]:
    return room.filesystem.admits, room.left


_BASES = {
    Basis.KIND: "as its last runs did",
    Basis.POOL: "as other jobs of its pool did",
    Basis.NOTHING: "a guess, for nothing is known of its kind",
}


def shortage_text(short: Shortage) -> str:
    """One sentence with the numbers."""
    where = f"{short.host} ({short.mount})"
    told = _told(short, where)
    return f"{told} Even empty, no disk there is large enough for it." if short.too_large else told


def _told(short: Shortage, where: str) -> str:
    if not short.admits:
        of = "The host with a free slot takes" if short.hosts == 1 else f"All {short.hosts} hosts with a free slot take"
        return f"{of} no new jobs for want of space: {where} has {size(short.free)} free."
    told = (
        f"{size(short.free)} are free, {size(short.reserved)} are promised to running jobs, "
        f"and {size(short.floor)} must stay free"
    )
    need = f"It is expected to write {size(short.expected.bytes)} ({_BASES[short.expected.basis]})"
    if short.hosts == 1:
        return f"{need}, and {where} has no room for that: {told}."
    return (
        f"{need}, and none of {short.hosts} hosts with a free slot has room for that; most of it has {where}: {told}."
    )


def shortage_facts(short: Shortage) -> dict[str, object]:
    """The numbers, for programs; `hosts` counts those that had a free slot and no room."""
    return {
        "host": short.host,
        "mount": short.mount,
        "free": short.free,
        "reserved": short.reserved,
        "expected": short.expected.bytes,
        "expected_from": short.expected.basis.value,
        "floor": short.floor,
        "lacking": short.lacking,
        "admits": short.admits,
        "too_large": short.too_large,
        "hosts": short.hosts,
    }
