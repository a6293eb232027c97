"""The Python that hooks and shims run on: one that every slot's user may execute.

The agent's own often lies under root's home or in a virtual environment that an upgrade replaces;
both would fail a job in its first second (interfaces.md section 4).
"""

import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from andon.runtime.errors import Refused

_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_FOLDERS = (Path("/usr/bin"), Path("/usr/local/bin"))


def _candidates() -> Iterator[Path]:
    yield Path(sys.base_prefix, "bin", f"python{_VERSION}")
    for folder in _FOLDERS:
        for name in (f"python{_VERSION}", "python3.13", "python3.12", "python3.11", "python3"):
            yield folder / name


def anybody_may_run(path: Path) -> bool:
    """Whether `path` is a file that every user of this machine can execute."""
    try:
        real = path.resolve(strict=True)
        mode = real.stat().st_mode
        open_folders = all(parent.stat().st_mode & stat.S_IXOTH for parent in real.parents)
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & stat.S_IXOTH) and open_folders


def find_interpreter(*, for_other_users: bool) -> Path:
    """An absolute interpreter; the first that anybody may run, else the agent's own.

    Raises Refused when slots have users of their own and none of them could execute any.
    """
    for path in _candidates():
        if anybody_may_run(path):
            return path.resolve()
    if for_other_users:
        raise Refused(
            f"No Python that every user may execute was found ({sys.base_prefix} is closed to others). "
            "Install python3 from the system's packages."
        )
    return Path(sys.executable).absolute()
