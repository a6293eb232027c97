"""Where workspaces lie on this host: below the agent's root, or below the runner's own work folder (interfaces.md 1).

The second for jobs in containers: the runner mounts its work folder into them, so what lies there has a
place in the container, too (R92).
"""

import contextlib
import errno
import os
from collections.abc import Callable, Container, Iterator
from pathlib import Path

import msgspec

from andon.agent.hooks.orphans import Orphan, forget_orphan, read_orphans
from andon.agent.layout import IN_WORK, Root
from andon.agent.process_identity import lives
from andon.agent.trees.trash import put_aside
from andon.agent.workspaces.found import found_below, found_in
from andon.agent.workspaces.making import PARTIAL_MARK, make_workspace
from andon.agent.workspaces.ownership import owner_of
from andon.agent.workspaces.parts import Found, Made
from andon.agent.workspaces.work_folders import WorkFolders
from andon.model.config import Workspace
from andon.model.workspaces import JobProcess, LeaseRecord

TRASH = ".trash"


class Directories:
    """`workspace_of` gives the pool's workspace for a slot; `nonce` ten characters that nobody had before;
    `subvolumes` says whether those in the root are subvolumes."""

    def __init__(
        self,
        root: Root,
        workspace_of: Callable[[int], Workspace],
        works: WorkFolders,
        *,
        boot_id: str,
        nonce: Callable[[], str],
        subvolumes: Callable[[], bool] = lambda: False,
    ) -> None:
        self._root, self._workspace_of, self._works = root, workspace_of, works
        self._boot_id, self._nonce, self._subvolumes = boot_id, nonce, subvolumes

    def make(self, slot: int, claim: str | None, name: str, process: JobProcess) -> Made:
        """Makes the workspace `name`. Raises CannotBegin and OSError."""
        workspace = self._workspace_of(slot)
        owner = owner_of(workspace.owner, process)
        if workspace.place == "root":
            parent = self._root.runs / str(slot)
            return make_workspace(parent, name, owner=owner, export=workspace.export, subvolume=self._subvolumes())
        parent = self._works.of(slot, claim) / IN_WORK.name
        return make_workspace(parent, name, owner=owner, export=workspace.export, in_use=claim is None)

    def found(self, known: Container[str]) -> tuple[Found, ...]:
        """Every directory of ours that is not `known`. Raises OSError."""
        below = [found_below(self._root.runs, known)]
        below += [found_in(folder, slot, known) for slot, folder in self._works.all()]
        below += [self._made_alone(known)]
        return tuple(one for each in below for one in each)

    def _made_alone(self, known: Container[str]) -> Iterator[Found]:
        """Those that hooks made while no agent answered, with who holds them."""
        notes = {note.id: note for note in read_orphans(self._root)[0]}
        for found in found_below(self._root.standalone, known):
            note = notes.get(found.name)
            if note is None or (note.device, note.inode) != (found.made.device, found.made.inode):
                yield found
            else:
                yield msgspec.structs.replace(found, process=self._holder(note), job=note.job)

    def _holder(self, note: Orphan) -> JobProcess | None:
        """The process of the note, if it lives and is of the directory's own user: job code may name any."""
        if note.boot_id != self._boot_id or not lives(note.pid, note.start):
            return None
        try:
            uid = Path(f"/proc/{note.pid}").stat().st_uid
        except OSError:
            return None
        return JobProcess(pid=note.pid, start=note.start, uid=note.uid, gid=note.gid) if uid == note.uid else None

    def forget_note(self, name: str) -> None:
        """The directory is leased now; what a hook wrote down of it is known."""
        forget_orphan(self._root, name)

    def put_aside(self, record: LeaseRecord, new_name: str) -> str | None:
        """Into the trash of its filesystem, as `new_name`; the sentence that forbids it, or None.

        Raises FileNotFoundError when it is gone already, and OSError.
        """
        path, identity = Path(record.path), (record.device, record.inode)
        if record.claim is None:
            try:
                return put_aside(path, identity, self._root.trash, new_name)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
        trash = self._trash_of(path)
        trash.mkdir(mode=0o700, exist_ok=True)
        return put_aside(path, identity, trash, new_name)

    def trashes(self) -> tuple[Path, ...]:
        """Every trash that is there."""
        all_ = [self._root.trash, *(folder / TRASH for _, folder in self._works.all())]
        return tuple(trash for trash in all_ if trash.is_dir() and not trash.is_symlink())

    def clear_half_made(self) -> int:
        """Puts aside what an agent that was ended left half made. Called before anything is made anew."""
        count = 0
        for parent in (*self._slots(), *(folder for _, folder in self._works.all())):
            for entry in _entries(parent):
                if entry.name.startswith(PARTIAL_MARK):
                    found = entry.stat(follow_symlinks=False)
                    trash = self._trash_of(Path(entry.path))
                    trash.mkdir(mode=0o700, exist_ok=True)
                    new_name = f"{entry.name.removeprefix('.')}.{self._nonce()}"
                    with contextlib.suppress(FileNotFoundError):
                        count += put_aside(Path(entry.path), (found.st_dev, found.st_ino), trash, new_name) is None
        return count

    def _trash_of(self, path: Path) -> Path:
        ours = path.parent.parent in (self._root.runs, self._root.standalone)
        return self._root.trash if ours else path.parent / TRASH

    def _slots(self) -> Iterator[Path]:
        yield from (Path(entry.path) for entry in _entries(self._root.runs) if entry.is_dir(follow_symlinks=False))


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
