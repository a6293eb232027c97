"""A persistent runner's folder, read: is it one, whose is it, what is its name, which unit starts it.

Everything in it may have been written by a job, so nothing read here is run, followed or believed
further than that: the unit's name, for one, is compared with what systemd says of it before use.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import cast

import msgspec

from andon.agent.adoption.env_file import opened_folder, read_plain
from andon.runtime.errors import Refused

_LARGEST = 64 * 1024
_PROGRAMS = ("run.sh", "bin/Runner.Listener", "config.sh", "svc.sh")
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]{1,240}\.service\Z")


class RunnerFolder(msgspec.Struct, frozen=True, kw_only=True):
    """One configured runner."""

    path: Path
    """Absolute, without links."""
    runner: str
    """`agentName`: how GitHub calls it (interfaces.md section 10)."""
    agent_id: int | None
    url: str | None
    work: str
    """Its work folder, mostly `_work`."""
    uid: int
    gid: int
    unit: str | None
    """What `.service` names; not proved to be this folder's."""
    ephemeral: bool = False

    @property
    def key(self) -> str:
        """The folder's name in our records."""
        return key_of(self.path)


def key_of(folder: Path) -> str:
    """Twelve hex digits that stand for a folder's path: no character of it becomes part of another path."""
    return hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]


def is_utf8(text: str) -> bool:
    """Whether the runner can read it from its `.env`, and we can write it down: a path may hold any bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_folder(given: Path) -> RunnerFolder:
    """The runner in `given`. Raises Refused with one sentence when there is none that can be used."""
    try:
        path = given.resolve(strict=True)
        if not is_utf8(str(path)):
            raise Refused("its path is no valid UTF-8. Rename that folder.")
        with opened_folder(path) as folder:
            return _read(path, folder)
    except Refused as refused:
        raise Refused(f"{given}: {refused}") from None
    except FileNotFoundError:
        raise Refused(f"{given}: there is no such folder. Name the folder that config.sh was run in.") from None
    except NotADirectoryError:
        raise Refused(f"{given}: this is no folder. Name the folder that config.sh was run in.") from None
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it leads in circles"
        raise Refused(f"{given}: this folder cannot be read ({reason}). Use sudo, or correct the path.") from None


def _read(path: Path, folder: int) -> RunnerFolder:
    if not any((path / name).exists() for name in _PROGRAMS):
        raise Refused("this is no runner's folder: it has neither run.sh nor bin/Runner.Listener. Name another one.")
    found = read_plain(folder, ".runner", largest=_LARGEST)
    if found is None:
        raise Refused("its runner is not configured: there is no .runner. Run its config.sh first.")
    settings = _settings(found[0])
    name = settings.get("agentName")
    if not isinstance(name, str) or not 0 < len(name) <= 255 or not name.isprintable():
        raise Refused("its .runner names no usable agentName. Is it the runner's own file?")
    number, url, work = settings.get("agentId"), settings.get("gitHubUrl"), settings.get("workFolder")
    owner = os.fstat(folder)
    return RunnerFolder(
        path=path,
        runner=name,
        agent_id=number if isinstance(number, int) and not isinstance(number, bool) else None,
        url=url if isinstance(url, str) and url.isprintable() else None,
        work=work if isinstance(work, str) and work.isprintable() and work else "_work",
        uid=owner.st_uid,
        gid=owner.st_gid,
        unit=_unit(folder),
        ephemeral=settings.get("ephemeral") is True,
    )


def _settings(content: bytes) -> dict[str, object]:
    try:
        # The runner writes it with a byte order mark.
        value: object = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise Refused("its .runner is no JSON. Is it the runner's own file?") from None
    if not isinstance(value, dict):
        raise Refused("its .runner holds no JSON object. Is it the runner's own file?")
    return cast("dict[str, object]", value)


def _unit(folder: int) -> str | None:
    try:
        found = read_plain(folder, ".service", largest=1024)
    except Refused:
        return None
    name = found[0].decode("utf-8-sig", "replace").strip() if found else ""
    return name if _UNIT.match(name) and not name.startswith("-") else None
