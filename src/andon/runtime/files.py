"""Files that are either there whole or not at all, and secrets that live in files."""

import errno
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import Self

from andon.runtime.errors import Refused
from andon.runtime.header_text import odd_in_header
from andon.runtime.ids import new_secret

_UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}\Z", re.DOTALL)
"""What `write_atomically` and `PlaceKept` call a file until it is whole."""


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Replaces `path` in one step; with `durable` the content survives a power cut.

    Raises OSError, after which the old content is still there.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is being written, or was when its writer ended."""
    return _UNFINISHED.match(name) is not None


def clear_unfinished(folder: Path) -> int:
    """Removes files in `folder` whose writer was ended before they had their name; returns how many.

    Only where no writer can live. Raises OSError.
    """
    cleared = 0
    for path in list(folder.iterdir()):
        if is_unfinished(path.name) and stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
            cleared += 1
    return cleared


class PlaceKept:
    """Room for a file that must be there for sure once its content is known.

    Until `fill` the disk's room is taken under another name; leaving the `with` without it takes
    everything back. Making one raises OSError: then nothing was given away yet.
    """

    def __init__(self, path: Path, *, mode: int = 0o644, room: int = 4096) -> None:
        self.path = path
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        self._temporary, self._file = Path(name), os.fdopen(handle, "wb", buffering=0)
        try:
            os.fchmod(handle, mode)
            os.posix_fallocate(handle, 0, room)
        except BaseException:
            self.__exit__()
            raise

    def fill(self, content: bytes) -> None:
        """Puts `content` at `path`, durably. Raises OSError, after which it may be called again."""
        handle = self._file.fileno()
        done = os.pwrite(handle, content, 0)
        if done < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        os.ftruncate(handle, done)
        os.fsync(handle)
        self._temporary.replace(self.path)
        _sync_folder(self.path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_secret(path: Path, *, what: str, text: bool = False) -> str:
    """The secret kept in `path`, without white space around it.

    One word of printable ASCII, which a header can carry; with `text` any text, as a PEM file is.
    Raises Refused with one sentence when the file is missing, unreadable, empty, or holds another thing.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise Refused(f"{path}: the {what} file does not exist. Write the secret into it.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: the {what} file cannot be read ({error}). Make it readable.") from None
    if not secret:
        raise Refused(f"{path}: the {what} file is empty. Write the secret into it.")
    odd = None if text else odd_in_header(secret)
    if odd is not None:
        raise Refused(f"{path}: the {what} file holds {odd}. Write the secret alone into it, as one line of ASCII.")
    return secret


def make_secret(path: Path, *, what: str) -> str:
    """The secret kept in `path`; made, readable by its owner only, when there is none yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, new_secret().encode() + b"\n", mode=0o600)
    return read_secret(path, what=what)
