"""Whose a workspace is: the job's user, or whom the pool names for what runs in containers (interfaces.md 1, R56)."""

import os
import pwd

from andon.agent.workspaces.parts import CannotBegin
from andon.model.workspaces import JobProcess


def owner_of(owner: str, process: JobProcess) -> tuple[int, int]:
    """User and group as numbers. Raises CannotBegin for a user that this host does not have."""
    if owner == "runner":
        return process.uid, process.gid
    if ":" in owner:
        uid, _, gid = owner.partition(":")
        return int(uid), int(gid)
    try:
        entry = pwd.getpwnam(owner)
    except KeyError:
        raise CannotBegin(
            f'This host has no user "{owner}". Make it, or correct `owner` in [pool.workspace].'
        ) from None
    return entry.pw_uid, entry.pw_gid


def give(file: int, owner: tuple[int, int]) -> None:
    """Makes the open directory the owner's. Raises CannotBegin where only root could, OSError else."""
    found = os.fstat(file)
    if (found.st_uid, found.st_gid) == owner:
        return
    try:
        os.fchown(file, *owner)
    except PermissionError:
        raise CannotBegin(
            f"Only root can give a workspace to user {owner[0]}. Run the agent as root, or leave `owner` out."
        ) from None
