"""Makes one workspace: whole, with its owner and every sub-directory, before its name exists (R50, R56).

Under a name of its own first, then renamed: what an agent that was ended left half made is never taken for
a workspace. All by open directories, so that nothing below can be exchanged for a link meanwhile.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path

from andon.agent.trees.btrfs import make_subvolume
from andon.agent.trees.system_calls import open_without_links, rename_to_new
from andon.agent.workspaces.ownership import give
from andon.agent.workspaces.parts import CannotBegin, Made
from andon.rules.workspace_exports import folders

PARTIAL_MARK = ".partial-"
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE, _SHOWN = 0o700, 0o755


def make_workspace(
    parent: Path,
    name: str,
    *,
    owner: tuple[int, int],
    export: dict[str, str],
    in_use: bool = False,
    subvolume: bool = False,
) -> Made:
    """The directory `parent/name`, its sub-directories in it.

    `subvolume`: as one of btrfs, so that the kernel counts what is written there. `in_use`: the folder above `parent`
    belongs to a user whose jobs were there before, so no link may lead to it.

    The workspace itself is closed to other users; what is mounted out of it is a sub-directory, which is
    not. Raises CannotBegin and OSError; then nothing stands under the name.
    """
    base = _own_folder_in(parent.parent, parent.name) if in_use else _own_folder(parent)
    try:
        partial = f"{PARTIAL_MARK}{name}"
        if subvolume:
            make_subvolume(base, partial)
        else:
            os.mkdir(partial, _PRIVATE, dir_fd=base)
        top = os.open(partial, _OPEN, dir_fd=base)
        try:
            os.fchmod(top, _PRIVATE)
            for folder in folders(export):
                _make_below(top, folder, owner)
            give(top, owner)
            found = os.fstat(top)
        finally:
            os.close(top)
        rename_to_new(base, partial, base, name)
        return Made(path=parent / name, device=found.st_dev, inode=found.st_ino)
    finally:
        os.close(base)


def _own_folder(parent: Path) -> int:
    """The folder of workspaces, open: ours, and not for others to write, or job code could exchange what is in it."""
    parent.mkdir(mode=_SHOWN, parents=True, exist_ok=True)
    return _refuse_foreign(os.open(parent, _OPEN), parent)


def _own_folder_in(work: Path, name: str) -> int:
    """The same in a work folder that is used already."""
    folder = work / name
    try:
        above = open_without_links(str(work), os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, _SHOWN, dir_fd=above)
            return _refuse_foreign(os.open(name, _OPEN, dir_fd=above), folder)
        finally:
            os.close(above)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            why = "a link leads there, or something else stands in its place"
            raise CannotBegin(f"{folder}: {why}. Configure the runner's work folder itself.") from None
        raise


def _refuse_foreign(file: int, path: Path) -> int:
    if not _is_ours(os.fstat(file)):
        os.close(file)
        raise CannotBegin(f"{path}: others than the agent may write there. Give it back to the agent, mode 755.")
    return file


def is_own(folder: Path) -> bool:
    """Whether the agent's own folder stands there, no link, and nobody else may write in it."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and _is_ours(found)


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _make_below(top: int, folder: str, owner: tuple[int, int]) -> None:
    above, _, name = folder.rpartition("/")
    parent = os.open(above, _OPEN, dir_fd=top) if above else os.dup(top)
    try:
        os.mkdir(name, _SHOWN, dir_fd=parent)
        made = os.open(name, _OPEN, dir_fd=parent)
        try:
            # Whatever the agent's umask says.
            os.fchmod(made, _SHOWN)
            give(made, owner)
        finally:
            os.close(made)
    finally:
        os.close(parent)
