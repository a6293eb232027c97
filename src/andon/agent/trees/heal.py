"""Gives what other users left in a job's old checkout back to the job's user, or has it put aside (R57, P6).

A container writes as root; hard-killed, it leaves files that the next checkout can neither read nor delete.
The tree is hostile, so what is given is what was looked at: while files of a directory change hands, it is
root's alone, and no name in it can be exchanged. Nothing is given that its new owner could not have had:
no file with another name elsewhere, none that others could not read, no directory closed to them, no device.
"""

import contextlib
import errno
import os
import stat
from collections import deque
from collections.abc import Callable

import msgspec

from andon.agent.leases.mounts import parse_mounts, read_mountinfo
from andon.agent.trees.system_calls import give_open, make_changeable, open_beneath

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_LOOK_EVERY = 256
_EXAMPLES = 3
_MOST_LEFT = 100
_MOST_TOPS = 100
_REPOSITORY = ".git"


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Something that stays as it is, and why."""

    path: str
    """Below the tree; may hold any bytes, as surrogates."""
    reason: str


class Healed(msgspec.Struct, frozen=True, kw_only=True):
    """What one call did. All zero and empty: there was nothing to do."""

    given: int
    """Files, links and directories that changed hands, or directories of the user's own that were closed to it."""
    put_aside: int
    """Names that went into the trash, each with all that is below it."""
    left: tuple[Left, ...]
    """At most a hundred of them."""
    examples: tuple[str, ...]
    """Some of what was given, as paths below the tree."""
    examples_aside: tuple[str, ...]
    """Some of what was put aside."""
    unseen: int
    """Directories that there was no time to look into, and no reason to suspect."""
    held: str | None
    """Why nothing was done although there was something to do."""


class _Stop(Exception):
    """The time is up, or there is a reason to do nothing."""


class _Gone(Exception):
    """The directory at hand was put aside with one above it."""


def heal(
    tree: int,
    owner: tuple[int, int],
    *,
    forbidden: Callable[[], str | None] = lambda: None,
    put_aside: Callable[[int, str], None] | None = None,
    keep: str | None = None,
    go_on: Callable[[], bool] = lambda: True,
) -> Healed:
    """Makes everything in the open directory `tree` the owner's (uid and gid); blocks, so not on an event loop.

    `forbidden` is asked once, when the first thing is found: a sentence means that nothing is done.
    `put_aside` moves a name of an open directory to where nobody comes; it raises OSError. Without it what
    cannot be given stays. `go_on` is asked often. Once it says no, what was not looked at is put aside, too,
    if anything was found before, and left alone if not; that is done only where `keep` is given: the name
    in `tree` that has to be a directory afterwards. Raises OSError when the tree cannot be read at all.
    """
    return _Healing(tree, owner, forbidden, put_aside, keep, go_on).run()


class _Healing:
    def __init__(
        self,
        tree: int,
        owner: tuple[int, int],
        forbidden: Callable[[], str | None],
        put_aside: Callable[[int, str], None] | None,
        keep: str | None,
        go_on: Callable[[], bool],
    ) -> None:
        self._tree, self._uid, self._gid = tree, *owner
        self._forbidden, self._put, self._keep, self._go_on = forbidden, put_aside, keep, go_on
        self._steps = self._given = self._aside = 0
        self._found = False
        self._held: str | None = None
        self._left: list[Left] = []
        self._examples: list[str] = []
        self._examples_aside: list[str] = []

    def run(self) -> Healed:
        # Breadth first: what root made as a whole shows near the top.
        waiting, too_deep = deque([""]), list[str]()
        while waiting and self._held is None:
            path = waiting[0]
            try:
                self._look(path, waiting)
            except _Stop:
                break
            except FileNotFoundError:
                pass
            except OSError as error:
                if not path:
                    raise
                if error.errno == errno.ENAMETOOLONG:
                    too_deep.append(path)
                else:
                    self._stays(path, _why(error))
            waiting.popleft()
        unseen = 0
        waiting.extend(too_deep)
        if waiting and self._held is None:
            unseen = self._put_rest_aside(waiting) if self._found and self._keep else len(waiting)
        return Healed(
            given=self._given,
            put_aside=self._aside,
            left=tuple(self._left),
            examples=tuple(self._examples),
            examples_aside=tuple(self._examples_aside),
            unseen=unseen,
            held=self._held,
        )

    def _look(self, path: str, waiting: deque[str]) -> None:
        self._tick(1)
        folder = open_beneath(self._tree, path or ".", _FOLDER)
        try:
            found = os.fstat(folder)
            if path and found.st_uid != self._uid and found.st_mode & 0o005 != 0o005:
                # Closed to others: what lies in it may be anybody's secret, brought here with a folder around it.
                self._suspect()
                self._put_folder_aside(path)
                return
            foreign: list[str] = []
            below: list[str] = []
            with os.scandir(folder) as entries:
                for entry in entries:
                    self._tick(_LOOK_EVERY)
                    try:
                        each = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if stat.S_ISDIR(each.st_mode):
                        below.append(_joined(path, entry.name))
                    elif each.st_uid != self._uid:
                        foreign.append(entry.name)
            waiting.extend(below)
            if foreign or found.st_uid != self._uid:
                self._suspect()
                with contextlib.suppress(_Gone):
                    self._mend(folder, found, path, foreign)
            elif found.st_mode & 0o700 != 0o700:
                os.fchmod(folder, found.st_mode & 0o7777 | 0o700)
                self._note(path)
        finally:
            os.close(folder)

    def _suspect(self) -> None:
        """Somebody else was here."""
        if not self._found:
            self._found = True
            self._held = self._forbidden()
        if self._held is not None:
            raise _Stop

    def _mend(self, folder: int, found: os.stat_result, path: str, foreign: list[str]) -> None:
        """Gives the directory and those `foreign` names in it that are no directories."""
        group = found.st_gid if found.st_uid == self._uid else self._gid
        if foreign:
            # From here on nobody but root puts a name in or takes one out, through open descriptors neither.
            self._give_folder(folder, os.geteuid(), found.st_gid)
            os.fchmod(folder, found.st_mode & 0o755 | 0o700)
        try:
            for name in foreign:
                self._tick(_LOOK_EVERY)
                try:
                    self._give(folder, name, path)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    self._stays(_joined(path, name), _why(error))
        finally:
            self._give_folder(folder, self._uid, group)
            os.fchmod(folder, found.st_mode & 0o3777 | 0o700)
        if found.st_uid != self._uid:
            self._note(path)

    def _give_folder(self, folder: int, uid: int, gid: int) -> None:
        try:
            os.fchown(folder, uid, gid)
        except PermissionError:
            if not make_changeable(folder):
                raise
            os.fchown(folder, uid, gid)

    def _give(self, folder: int, name: str, path: str) -> None:
        handle = open_beneath(folder, name, os.O_PATH | os.O_NOFOLLOW)
        try:
            found = os.fstat(handle)
            if found.st_uid == self._uid or stat.S_ISDIR(found.st_mode):
                return
            if not _may_be_given(found):
                self._put_aside(folder, name, path)
                return
            try:
                give_open(handle, self._uid, self._gid)
            except PermissionError:
                if not _loosen(folder, name):
                    raise
                give_open(handle, self._uid, self._gid)
            if stat.S_ISREG(found.st_mode) and found.st_mode & 0o600 != 0o600:
                os.chmod(f"/proc/self/fd/{handle}", found.st_mode & 0o777 | 0o600)  # noqa: PTH101
        finally:
            os.close(handle)
        self._note(_joined(path, name))

    def _put_aside(self, folder: int, name: str, path: str) -> None:
        """This name; or, of a repository's own folder, that folder: half of one is worse than none. Raises OSError."""
        whole = _whole(path)
        if whole is None:
            self._move(folder, name, _joined(path, name))
            return
        self._move_path(whole)
        raise _Gone

    def _put_folder_aside(self, path: str) -> None:
        self._move_path(_whole(path) or path)
        if path == self._keep:
            self._make_anew(path)

    def _move_path(self, path: str) -> None:
        above, _, name = path.rpartition("/")
        parent = open_beneath(self._tree, above or ".", _FOLDER)
        try:
            if mounted := self._mounted_below(path):
                raise OSError(errno.EBUSY, f"something is mounted at {mounted!r}")
            self._move(parent, name, path)
        finally:
            os.close(parent)

    def _move(self, folder: int, name: str, path: str) -> None:
        if self._put is None:
            raise OSError(errno.EPERM, "it may not be given, and there is nowhere to put it")
        self._put(folder, name)
        self._aside += 1
        if len(self._examples_aside) < _EXAMPLES:
            self._examples_aside.append(path)

    def _mounted_below(self, path: str) -> str | None:
        place = f"{os.readlink(f'/proc/self/fd/{self._tree}')}/{path}"  # noqa: PTH115
        for mount in parse_mounts(read_mountinfo("self")):
            if mount.point == place or mount.point.startswith(f"{place}/"):
                return mount.point
        return None

    def _put_rest_aside(self, waiting: deque[str]) -> int:
        """What was not looked at, by one rename for each thing at the top. Returns how many directories stay unseen."""
        tops: dict[str, int] = {}
        for path in waiting:
            parts = path.split("/")
            top = "/".join(parts[:2] if parts[0] == self._keep else parts[:1])
            tops[top] = tops.get(top, 0) + 1
        unseen = tops.pop("", 0)
        if len(tops) > _MOST_TOPS and self._keep:
            tops = {top.split("/")[0]: 1 for top in tops}
        for top, count in tops.items():
            try:
                self._put_folder_aside(top)
            except FileNotFoundError:
                continue
            except OSError as error:
                unseen += count
                self._stays(top, _why(error))
        return unseen

    def _make_anew(self, name: str) -> None:
        os.mkdir(name, 0o755, dir_fd=self._tree)
        folder = open_beneath(self._tree, name, _FOLDER)
        try:
            os.fchmod(folder, 0o755)
            os.fchown(folder, self._uid, self._gid)
        finally:
            os.close(folder)

    def _tick(self, every: int) -> None:
        self._steps += 1
        if (every == 1 or self._steps % every == 0) and not self._go_on():
            raise _Stop

    def _note(self, path: str) -> None:
        self._given += 1
        if len(self._examples) < _EXAMPLES:
            self._examples.append(path or ".")

    def _stays(self, path: str, reason: str) -> None:
        if len(self._left) < _MOST_LEFT:
            self._left.append(Left(path=path, reason=reason))


def _may_be_given(found: os.stat_result) -> bool:
    """Whether its new owner gets nothing by it but to be rid of it; told while no name here can change."""
    if found.st_nlink != 1:
        # Its other name may be anywhere: /etc/shadow is a hard link away.
        return False
    # A user who may rename a file need not be one who may read it.
    return stat.S_ISLNK(found.st_mode) or (stat.S_ISREG(found.st_mode) and bool(found.st_mode & stat.S_IROTH))


def _loosen(folder: int, name: str) -> bool:
    file = open_beneath(folder, name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return make_changeable(file)
    finally:
        os.close(file)


def _whole(path: str) -> str | None:
    """The repository's own folder that `path` is or lies in."""
    parts = path.split("/")
    return "/".join(parts[: parts.index(_REPOSITORY) + 1]) if _REPOSITORY in parts else None


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _why(error: OSError) -> str:
    if error.errno == errno.EXDEV:
        return "Something is mounted there."
    return f"It could not be healed ({error.strerror})."
