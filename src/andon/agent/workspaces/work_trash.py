"""Where leftovers of a runner's work folder are put aside: the agent's own trash, or one on the folder's filesystem."""

import contextlib
import errno
import os
from collections.abc import Callable, Generator
from pathlib import Path

from andon.agent.disk.removals import Intend, unwritten
from andon.agent.trees.system_calls import open_beneath, rename_to_new

TRASH = "_andon-trash"
"""In the work folder, where that is on another filesystem than the agent's own trash."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextlib.contextmanager
def putting_aside(
    trash: Path, work: int, mark: str, intend: Intend = unwritten
) -> Generator[Callable[[int, str], None]]:
    """A call that moves a name of an open directory into `trash`, or below the open folder `work`.

    It raises OSError, also where somebody else's folder has the name of our trash. `intend` writes down what goes.
    """
    bins: list[int] = []
    count = 0

    def put_aside(folder: int, name: str) -> None:
        nonlocal count
        count += 1
        new_name = f"left.{mark}.{count}"
        path = os.readlink(f"/proc/self/fd/{folder}")  # noqa: PTH115
        intent, happened = intend(_text(f"{path}/{name}"), new_name), False
        try:
            move(folder, name, new_name)
            happened = True
        finally:
            intent.settle(happened)

    def move(folder: int, name: str, new_name: str) -> None:
        if not bins:
            bins.append(os.open(trash, _FOLDER | os.O_CLOEXEC))
        try:
            rename_to_new(folder, name, bins[-1], new_name)
        except OSError as error:
            if error.errno != errno.EXDEV or len(bins) > 1:
                raise
            bins.append(near_trash(work))
            rename_to_new(folder, name, bins[-1], new_name)

    try:
        yield put_aside
    finally:
        for each in bins:
            os.close(each)


def _text(path: str) -> str:
    """A path of any bytes as text that can be kept."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def near_trash(work: int) -> int:
    """Our trash in an open folder, made where there is none. Raises OSError where the name is somebody else's."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(TRASH, 0o700, dir_fd=work)
    bin_ = open_beneath(work, TRASH, _FOLDER)
    found = os.fstat(bin_)
    if found.st_uid == os.geteuid() and not found.st_mode & 0o077:
        return bin_
    os.close(bin_)
    raise OSError(errno.EPERM, f"{TRASH} in the work folder is not the agent's alone")


def is_ours(trash: Path) -> bool:
    """Whether a trash of ours stands there, and no link to one."""
    try:
        found = trash.lstat()
    except OSError:
        return False
    ours = found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return ours and trash.is_dir() and not trash.is_symlink()
