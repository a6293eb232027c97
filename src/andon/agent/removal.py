"""Removes the folders of claims that are over: acknowledged above, and used by nobody here."""

import asyncio
from asyncio.subprocess import DEVNULL
from collections.abc import Mapping
from pathlib import Path

from andon.agent.cgroups import remove_cgroup
from andon.agent.folder_use import used_folders
from andon.agent.held import GONE_MARK, NEW_MARK, claim_folders
from andon.agent.layout import Root
from andon.runtime.logging import Logger


def leftovers(root: Root) -> tuple[Path, ...]:
    """Folders half made or half removed by an agent that was ended in the middle."""
    return tuple(folder for folder in claim_folders(root) if folder.name.startswith((GONE_MARK, NEW_MARK)))


async def remove_folders(folders: Mapping[Path, str | None], log: Logger) -> bool:
    """Removes each folder (with its cgroup) that nobody uses; says whether none is left."""
    used = await asyncio.to_thread(used_folders, folders)
    done = not used
    for folder, cgroup in folders.items():
        if folder in used or not remove_cgroup(cgroup):
            log.info("slot_folder.kept", path=str(folder), reason="a process still uses it")
            done = False
        elif await _remove_tree(_put_aside(folder)):
            log.info("slot_folder.removed", path=str(folder))
        else:
            log.warning("slot_folder.kept", path=str(folder), reason="it could not be removed whole")
            done = False
    return done


def _put_aside(folder: Path) -> Path:
    """Renamed first, so that a folder that is half removed is never taken for a claim."""
    if folder.name.startswith(GONE_MARK):
        return folder
    return folder.rename(folder.with_name(GONE_MARK + folder.name))


async def _remove_tree(gone: Path) -> bool:
    # A program of its own: it stays on one filesystem, follows no link, and can be broken off.
    process = await asyncio.create_subprocess_exec(
        "rm", "-rf", "--one-file-system", "--", str(gone), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        return await process.wait() == 0
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
