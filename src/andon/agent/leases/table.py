"""Every lease of this host: its record and its lock, both held by this one process.

Each lease is locked shared by a descriptor of its own, from before it can be seen until it is
dropped. Records are written down before they are believed, so that what a restart finds is what was
answered for.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Generator
from pathlib import Path

import msgspec

from andon.agent.leases.lock_holders import FileId, others_on
from andon.agent.leases.place import LeasePlace, remake_folders
from andon.agent.leases.records import BrokenRecord, read_record, write_record
from andon.agent.leases.spares import Spares
from andon.agent.process_identity import lives
from andon.model.workspaces import Hold, Holder, LeaseRecord
from andon.runtime.clock import Clock
from andon.runtime.errors import AndonError
from andon.runtime.logging import Logger

LEASE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}\Z")
"""What a lease's id must look like before it becomes a file's name."""
SPARES = 64
_BY_US = Hold(by=Holder.LOCK, text="The agent itself has the lease for itself right now.")
_ENDED = Hold(by=Holder.LOCK, text="Another program ended the lease.")
_TRIES = 20
_PAUSE_S = 0.05


class LeaseHeld(AndonError):
    """A lease that cannot be had alone; `hold` says why."""

    def __init__(self, hold: Hold) -> None:
        super().__init__(hold.text)
        self.hold = hold


class Suspect(msgspec.Struct, frozen=True, kw_only=True):
    """A lease whose record cannot be read. It is locked like any other and goes only by hand of a rule."""

    id: str
    reason: str


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What a start found."""

    records: tuple[LeaseRecord, ...]
    ended: frozenset[str]
    """Leases whose job's process is gone, or is not known."""
    suspects: tuple[Suspect, ...]
    unlocked: frozenset[str]
    """Leases that another program has for itself right now; `upkeep` goes on trying."""


class Upkeep(msgspec.Struct, frozen=True, kw_only=True):
    """What `upkeep` found."""

    unlocked: frozenset[str]
    removed: frozenset[str]
    """Leases that another program ended by the protocol; they are forgotten here."""
    restored: frozenset[str]
    """Leases whose file somebody had deleted against the protocol, while we held its lock."""
    short: bool
    """The stock of spare files could not be filled."""


class _Lease:
    def __init__(self, file: int, record: LeaseRecord | None, sequence: int, broken: str = "") -> None:
        self.file, self.record, self.sequence, self.broken = file, record, sequence, broken
        self.locked = False
        self.alone = False


class LeaseTable:
    """The leases of one place. Of one thread; every call but `recover` returns within microseconds."""

    def __init__(self, place: LeasePlace, boot_id: str, log: Logger, spares: int) -> None:
        self._place, self._boot, self._log = place, boot_id, log
        self._leases: dict[str, _Lease] = {}
        self._spares = Spares(place.spare, spares)
        self._spares.refill()

    @classmethod
    def open(cls, place: LeasePlace, boot_id: str, log: Logger, *, spares: int = SPARES) -> "LeaseTable":
        """An empty table over `place`; `recover` fills it with what an agent before this one left.

        The caller is the only agent of this place (the root's lock). `spares`: files kept in stock.
        """
        return cls(place, boot_id, log, spares)

    def records(self) -> tuple[LeaseRecord, ...]:
        """Every lease whose record can be read."""
        return tuple(lease.record for lease in self._leases.values() if lease.record is not None)

    def suspects(self) -> tuple[Suspect, ...]:
        """The others."""
        return tuple(Suspect(id=id, reason=one.broken) for id, one in self._leases.items() if one.record is None)

    def lock_files(self) -> dict[str, FileId]:
        """Each lease's file, as the kernel names it in its list of locks."""
        return {id: _identity(lease.file) for id, lease in self._leases.items()}

    def take(self, record: LeaseRecord) -> None:
        """Begins a lease: locked and written down before anybody can see it.

        Raises NoSpare when there is no room even so, Unrecordable, AndonError for an id that is
        taken or no name.
        """
        path = self._path(record.id)
        if record.id in self._leases or path.exists():
            raise AndonError(f"The lease {record.id!r} exists already.")
        self._leases[record.id] = self._begin(path, record)

    def update(self, record: LeaseRecord) -> None:
        """Writes the lease's new record.

        Raises KeyError for an unknown id, Unrecordable, OSError, and LeaseHeld for a process that
        would begin in a workspace that somebody, we or another program, may be about to remove.
        """
        lease = self._leases[record.id]
        begins = record.process is not None and (lease.record is None or lease.record.process != record.process)
        if begins:
            self._refuse_while_alone(record.id, lease)
        write_record(lease.file, record, lease.sequence + 1)
        lease.sequence += 1
        lease.record, lease.broken = record, ""

    def drop(self, id: str) -> None:
        """Ends a lease whose workspace is gone. Only inside `try_exclusive`; raises AndonError outside."""
        lease = self._leases[id]
        if not lease.alone:
            raise AndonError(f"The lease {id!r} may be dropped only by who has it alone.")
        self._path(id).unlink(missing_ok=True)
        del self._leases[id]
        os.close(lease.file)
        # At once, before another program takes the room.
        self._spares.refill()

    @contextlib.contextmanager
    def try_exclusive(self, id: str) -> Generator[None]:
        """Has the lease for oneself alone, as step 1 to 3 of the protocol (see the package) ask.

        Raises LeaseHeld, without letting go of our lock for a moment, while the job's process lives;
        and when another program holds the lock. The caller looks for other use *inside* the `with`,
        and afterwards either has dropped the lease or holds it shared again.

        From shared to exclusive is not one step in the kernel: it gives the first up before it asks
        for the second, and does not give it back when that fails. In between, and until the shared
        lock is had again, another program may get the lease for itself. It cannot be prevented on
        the side of the locks, so it must not matter: only a lease without a living process comes
        here, and whoever gets in between has to look for other use as we do.
        """
        lease = self._leases[id]
        if lease.alone:
            raise LeaseHeld(_BY_US)
        record = lease.record
        if record is not None and record.process is not None and record.boot_id == self._boot:
            pid = record.process.pid
            if lives(pid, record.process.start):
                raise LeaseHeld(Hold(by=Holder.PROCESS, text=f"Its job's process (pid {pid}) lives.", pid=pid))
        try:
            self._alone(id, lease)
            yield
        finally:
            lease.alone = False
            if self._leases.get(id) is lease:
                self._share(id, lease)

    def upkeep(self) -> Upkeep:
        """Takes again what another program had for itself, and fills the stock. Call it with every look."""
        remake_folders(self._place)
        full = self._spares.refill()
        removed: set[str] = set()
        restored: set[str] = set()
        for id, lease in list(self._leases.items()):
            if not lease.locked and not lease.alone:
                self._share(id, lease)
            if id not in self._leases:
                removed.add(id)
            elif lease.locked and not lease.alone and not self._is_there(id, lease) and self._restore(id, lease):
                restored.add(id)
        return Upkeep(
            unlocked=self._unlocked(),
            removed=frozenset(removed),
            restored=frozenset(restored),
            short=not full or (bool(restored) and not self._spares.refill()),
        )

    async def recover(self, clock: Clock) -> Recovered:
        """Takes up what lies in the place; called once, before anything is answered.

        A lock that another program has is tried for a second. Records of another boot come back
        without a process: none of theirs lives.
        """
        for name in sorted(os.listdir(self._place.leases)):  # noqa: PTH208
            self._take_up(name)
        for _ in range(_TRIES):
            if not self.upkeep().unlocked:
                break
            await clock.sleep(_PAUSE_S)
        records = self.records()
        ended = frozenset(
            record.id
            for record in records
            if record.process is None or not lives(record.process.pid, record.process.start)
        )
        return Recovered(records=records, ended=ended, suspects=self.suspects(), unlocked=self._unlocked())

    def close(self) -> None:
        """Lets every lock go; the records stay for the next agent."""
        for lease in self._leases.values():
            os.close(lease.file)
        self._leases.clear()

    def _begin(self, path: Path, record: LeaseRecord) -> _Lease:
        file, spare = self._spares.take()
        try:
            write_record(file, record, 1)
            lease = _Lease(file, record, 1)
            # Nobody else knows the file yet, so nobody can be in the way.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            lease.locked = True
            spare.rename(path)
        except BaseException:
            os.close(file)
            self._spares.give_back(spare)
            raise
        return lease

    def _restore(self, id: str, lease: _Lease) -> bool:
        """A file that was deleted under our lock is made again: without it a restart would forget the lease."""
        path = self._path(id)
        if lease.record is None or path.exists():
            return False
        try:
            self._leases[id] = self._begin(path, lease.record)
        except (OSError, AndonError) as error:
            self._log.warning("lease.not_restored", lease=id, error=str(error))
            return False
        os.close(lease.file)
        self._log.warning("lease.restored", lease=id, reason="somebody deleted its file")
        return True

    def _take_up(self, name: str) -> None:
        path = self._place.leases / name
        if LEASE_NAME.match(name) is None:
            self._log.warning("lease.not_opened", path=repr(str(path)), error="no name for a lease")
            return
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return
        except OSError as error:
            self._log.warning("lease.not_opened", path=str(path), error=str(error))
            return
        lease = _Lease(file, None, 0)
        self._leases[name] = lease
        # Locked first: what is read afterwards does not change under us.
        self._share(name, lease)
        if name in self._leases:
            self._read(name, lease)

    def _read(self, id: str, lease: _Lease) -> None:
        try:
            record, lease.sequence = read_record(lease.file)
        except (BrokenRecord, OSError) as error:
            lease.broken = str(error)
            self._log.warning("lease.suspect", lease=id, reason=lease.broken)
            return
        if record.id != id:
            lease.broken = f"its record is of another lease, {record.id!r}"
            self._log.warning("lease.suspect", lease=id, reason=lease.broken)
            return
        if record.boot_id != self._boot and record.process is not None:
            record = msgspec.structs.replace(record, process=None)
        lease.record = record

    def _refuse_while_alone(self, id: str, lease: _Lease) -> None:
        if lease.alone:
            raise LeaseHeld(_BY_US)
        if not lease.locked:
            self._share(id, lease)
            if self._leases.get(id) is not lease:
                raise LeaseHeld(_ENDED)
            if not lease.locked:
                raise LeaseHeld(self._by_another(lease))

    def _alone(self, id: str, lease: _Lease) -> None:
        try:
            fcntl.flock(lease.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lease.locked = False
            raise LeaseHeld(self._by_another(lease)) from None
        lease.locked = lease.alone = True
        if not self._is_there(id, lease):
            raise LeaseHeld(_ENDED)

    def _share(self, id: str, lease: _Lease) -> None:
        """Locks it shared, if that can be had now; forgets it when somebody ended it meanwhile."""
        try:
            fcntl.flock(lease.file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if lease.locked:
                self._log.warning("lease.unlocked", lease=id, by=self._by_another(lease).text)
            lease.locked = False
            return
        lease.locked = True
        # Seen only now that nobody can end it any more.
        if not self._is_there(id, lease):
            self._log.info("lease.ended_by_another", lease=id)
            del self._leases[id]
            os.close(lease.file)

    def _by_another(self, lease: _Lease) -> Hold:
        pid = min(others_on(_identity(lease.file)), default=None)
        who = f"The process {pid}" if pid is not None else "Another program"
        return Hold(by=Holder.LOCK, text=f"{who} holds its lease's lock.", pid=pid)

    def _is_there(self, id: str, lease: _Lease) -> bool:
        try:
            found = self._path(id).lstat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == _identity(lease.file)

    def _unlocked(self) -> frozenset[str]:
        return frozenset(id for id, lease in self._leases.items() if not lease.locked)

    def _path(self, id: str) -> Path:
        if LEASE_NAME.match(id) is None:
            raise AndonError(f"{id!r} is no name for a lease.")
        return self._place.leases / id


def _identity(file: int) -> FileId:
    found = os.fstat(file)
    return found.st_dev, found.st_ino
