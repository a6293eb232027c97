"""Files that are either there whole or not at all, and secrets that live in files."""

import os
import tempfile
from pathlib import Path

from andon.runtime.errors import Refused
from andon.runtime.ids import new_secret


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
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def read_secret(path: Path, *, what: str) -> str:
    """The secret kept in `path`, without white space around it.

    Raises Refused with one sentence when the file is missing, unreadable or empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise Refused(f"{path}: the {what} file does not exist. Write the secret into it.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: the {what} file cannot be read ({error}). Make it readable.") from None
    if not secret:
        raise Refused(f"{path}: the {what} file is empty. Write the secret into it.")
    return secret


def make_secret(path: Path, *, what: str) -> str:
    """The secret kept in `path`; made, readable by its owner only, when there is none yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, new_secret().encode() + b"\n", mode=0o600)
    return read_secret(path, what=what)
