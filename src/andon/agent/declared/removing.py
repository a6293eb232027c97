"""Takes what was declared away by the guard's protocol (host-facts.md 2.2): alone with its lock, the directory that is
meant, nobody's in use by one look at the kernel for all of them, written down, one rename into a trash.

No lease hangs on these, so the lock is one on the thing itself: any program that holds a `flock` on it keeps it.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path

from andon.agent.declared.things import Thing
from andon.agent.disk.journal import JournalUnusable
from andon.agent.disk.removals import Intent
from andon.agent.leases.process_use import Folder, find_uses
from andon.agent.leases.unreadable import look_at, may_use
from andon.agent.process_identity import line_of
from andon.agent.trees.system_calls import open_without_links, rename_to_new
from andon.agent.trees.trash import move_aside
from andon.agent.workspaces.work_trash import near_trash
from andon.runtime.clock import Clock

AT_ONCE = 20
"""Things for which one look at the kernel is made: so long are their locks held."""
LIMIT_S = 5.0
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK

Intend = Callable[[Thing, str], Intent]
"""Writes down what goes, and under which name it lies in the trash. Raises OSError: then it must not go."""


class _Stays(Exception):
    """One sentence."""


class DeclaredRemover:
    """`trash` is the agent's own, `why_stays` is asked right before and right after a rename (None: it may go), `nonce`
    gives ten characters that nobody had before."""

    def __init__(
        self,
        trash: Path,
        intend: Intend,
        why_stays: Callable[[Thing], str | None],
        *,
        nonce: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._trash, self._intend, self._why_stays, self._nonce, self._clock = trash, intend, why_stays, nonce, clock

    def take_away(self, things: Iterable[Thing]) -> dict[str, str | None]:
        """Why each of them stays; None: it is gone from its place. Blocks, and holds every lock while it looks once:
        at most `AT_ONCE`."""
        out: dict[str, str | None] = {}
        locks: dict[str, int] = {}
        alone: list[Thing] = []
        try:
            for one in things:
                try:
                    locks[one.id] = _lock(one)
                    alone.append(one)
                except FileNotFoundError:
                    out[one.id] = None
                except (_Stays, OSError) as error:
                    out[one.id] = _said(error)
            holds = self._look(alone)
            for one in alone:
                out[one.id] = holds[one.id] if one.id in holds else self._go(one)
                os.close(locks.pop(one.id))
        finally:
            for file in locks.values():
                os.close(file)
        return out

    def _look(self, things: Iterable[Thing]) -> Mapping[str, str]:
        """Who uses them; what cannot be told counts as use (law 4)."""
        things = tuple(things)
        if not things:
            return {}
        until = self._clock.monotonic() + LIMIT_S
        folders = (
            Folder(id=one.id, path=str(one.path), inode=one.identity, around=str(one.around) if one.around else None)
            for one in things
        )
        try:
            uses = find_uses(folders, go_on=lambda: self._clock.monotonic() < until)
        except OSError as error:
            return {one.id: f"The processes of this machine cannot be looked at ({error.strerror})." for one in things}
        out = {id: holds[0].text for id, holds in uses.holds.items()}
        if not uses.whole:
            return {one.id: "There was no time to look at every process." for one in things} | out
        # What began us is no job of a runner, and may be beyond our rights, as the first process of a container is.
        above = {1, *line_of(os.getpid())}
        strangers = look_at(pid for pid in uses.unreadable if pid not in above)
        for one in things:
            for each in strangers:
                if may_use(each, one.uid):
                    text = f"Whether the process {each.pid} uses it cannot be told: it may not be looked into."
                    out.setdefault(one.id, text)
        return out

    def _go(self, one: Thing) -> str | None:
        if why := self._why_stays(one):
            return why
        try:
            with _opened(str(one.path.parent)) as parent:
                return self._rename(one, parent)
        except FileNotFoundError:
            return None
        except JournalUnusable as error:
            return f"{error}: what cannot be written down is not deleted."
        except (_Stays, OSError) as error:
            return _said(error)

    def _rename(self, one: Thing, parent: int) -> str | None:
        name = f"declared.{self._nonce()}"
        intent, happened = self._intend(one, name), False
        try:
            with self._moved(one, parent, name) as bin_:
                happened = True
                why = self._why_stays(one)
                if why is not None and _put_back(bin_, name, parent, one.path.name):
                    happened = False
                    return f"{why} It was put back at once."
        finally:
            intent.settle(happened)
        return None

    @contextlib.contextmanager
    def _moved(self, one: Thing, parent: int, name: str) -> Generator[int]:
        """Moves it, and gives the trash that it is in now: ours, or one in the folder that was declared."""
        with contextlib.ExitStack() as open_:
            bin_ = open_.enter_context(_opened(str(self._trash.resolve())))
            try:
                forbidden = move_aside(one.path, parent, bin_, one.identity, name, files=True)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                home = open_.enter_context(_opened(str(one.home)))
                bin_ = near_trash(home)
                open_.callback(os.close, bin_)
                forbidden = move_aside(one.path, parent, bin_, one.identity, name, files=True)
            if forbidden is not None:
                raise _Stays(forbidden)
            yield bin_


def _lock(one: Thing) -> int:
    """Opens it and has it alone, if it is what was meant. Raises OSError and _Stays."""
    file = open_without_links(str(one.path), _FILE)
    try:
        found = os.fstat(file)
        if (found.st_dev, found.st_ino) != one.identity:
            raise _Stays("Another one stands under its name.")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise _Stays("Another program holds a lock on it.") from None
    except BaseException:
        os.close(file)
        raise
    return file


def _put_back(bin_: int, name: str, parent: int, old_name: str) -> bool:
    """Whether it stands in its place again; where somebody made a new one meanwhile, it stays in the trash."""
    try:
        rename_to_new(bin_, name, parent, old_name)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _opened(folder: str) -> Generator[int]:
    file = open_without_links(folder, _FOLDER)
    try:
        yield file
    finally:
        os.close(file)


def _said(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"It could not be moved into the trash ({error.strerror or error})."
    return str(error)
