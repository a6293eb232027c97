"""What hooks need while no agent answers: `hooks/plan.json`, and places where they may write.

A hook runs as its slot's user, so what it may write lies apart from everything that is the agent's:
`standalone/<slot>/`, owned by that user and closed to others, and `orphans/`, where every user may
add a record and nobody but its owner may take it away (sticky, not listable).
"""

import os
from collections.abc import Mapping
from typing import Literal

import msgspec

from andon.agent.layout import Root
from andon.agent.slot_user import SlotUser
from andon.model.config import Workspace
from andon.runtime.files import write_atomically

_ANYBODY_ADDS = 0o1733


class PlannedSlot(msgspec.Struct, frozen=True, kw_only=True):
    """What a hook of this slot exports by itself."""

    place: Literal["root", "work"] = "root"
    export: dict[str, str] = {}
    runner: str | None = None
    """An adopted runner's name: its environment may not tell the slot."""


class HookPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`hooks/plan.json`, readable to all: it holds nothing secret."""

    v: int = 1
    host: str
    isolation: Literal["preferred", "required"] = "preferred"
    public_url: str | None = None
    slots: dict[str, PlannedSlot] = {}
    """By the slot's number."""


def planned_slot(workspace: Workspace, *, runner: str | None = None) -> PlannedSlot:
    """The plan for a slot of a pool with this `[pool.workspace]`."""
    return PlannedSlot(place=workspace.place, export=workspace.export, runner=runner)


def read_plan(root: Root) -> HookPlan | None:
    """The plan as it stands; None when there is none that can be read."""
    try:
        return msgspec.json.decode((root.hooks / "plan.json").read_bytes(), type=HookPlan)
    except (OSError, msgspec.MsgspecError):
        return None


def write_plan(root: Root, plan: HookPlan) -> None:
    """Replaces the plan when it differs; an address that it lacks stays. Raises OSError."""
    old = read_plan(root)
    if plan.public_url is None and old is not None:
        plan = msgspec.structs.replace(plan, public_url=old.public_url)
    if plan != old:
        write_atomically(root.hooks / "plan.json", msgspec.json.encode(plan), mode=0o644)


def note_public_url(root: Root, public_url: str) -> None:
    """Keeps the board's address as the control plane last said it. Raises OSError."""
    old = read_plan(root)
    if old is not None:
        write_plan(root, msgspec.structs.replace(old, public_url=public_url))


def known_public_url(root: Root) -> str | None:
    """The board's address, also before the control plane has said it to this agent."""
    plan = read_plan(root)
    return plan.public_url if plan else None


def prepare_standalone(root: Root, users: Mapping[int, SlotUser | None]) -> None:
    """Makes the places for hooks of these slots; `users`: whom each slot's runner becomes, None: us.

    Raises OSError, also for a link that stands in a folder's place.
    """
    root.standalone.mkdir(mode=0o755, exist_ok=True)
    root.standalone.chmod(0o755)
    root.orphans.mkdir(exist_ok=True)
    _set(str(root.orphans), None, _ANYBODY_ADDS)
    for slot, user in users.items():
        folder = root.standalone / str(slot)
        folder.mkdir(mode=0o700, exist_ok=True)
        _set(str(folder), user, 0o700)


def _set(folder: str, user: SlotUser | None, mode: int) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        wanted = (user.uid, user.gid) if user else (os.geteuid(), os.getegid())
        found = os.fstat(file)
        if (found.st_uid, found.st_gid) != wanted:
            os.fchown(file, *wanted)
        os.fchmod(file, mode)
    finally:
        os.close(file)
