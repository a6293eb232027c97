"""The slots of this host, numbered through the groups in file order (interfaces.md section 10)."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from andon.agent.slot_user import find_user
from andon.model.config import Agent
from andon.runtime.errors import Refused


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One place for one runner."""

    number: int
    pool: str
    command: tuple[str, ...]
    """With an absolute path first where the command was found."""
    user: str | None = None


def slots_of(agent: Agent, *, data: Path, environ: Mapping[str, str]) -> tuple[Slot, ...]:
    """Every slot that `[[agent.slots]]` describes.

    A command with a slash is a path, relative to `data`; any other is looked for in PATH.
    """
    out: list[Slot] = []
    for group in agent.slots:
        command = _resolved(group.command, data, environ.get("PATH"))
        for _ in range(group.count):
            number = len(out)
            user = group.user.replace("{slot}", str(number)) if group.user else None
            out.append(Slot(number=number, pool=group.pool, command=command, user=user))
    return tuple(out)


def _resolved(command: tuple[str, ...], data: Path, search: str | None) -> tuple[str, ...]:
    if not command:
        return command
    first = command[0]
    found = str((data / first).absolute()) if "/" in first else shutil.which(first, path=search) or first
    return (found, *command[1:])


def fault_of(slot: Slot) -> str | None:
    """Why this slot cannot take a runner as it stands; None when nothing speaks against it (R38)."""
    try:
        if slot.user:
            find_user(slot.user)
    except Refused as error:
        return str(error)
    if not slot.command:
        return "No command. Set `command` in its [[agent.slots]]."
    path = Path(slot.command[0])
    if not path.is_absolute() or not path.exists():
        return f"{slot.command[0]}: no such command. Correct `command` in its [[agent.slots]]."
    return None
