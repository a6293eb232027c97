"""Removes the folders of claims that are over: acknowledged above, and used by nobody here."""

import asyncio
import os
import threading
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Mapping
from pathlib import Path

from andon.agent.cgroups import remove_cgroup
from andon.agent.disk.removals import Intend, Intent, unwritten
from andon.agent.folder_use import used_folders
from andon.agent.held import GONE_MARK, NEW_MARK, claim_folders
from andon.agent.layout import Root
from andon.agent.trees.delete import Remains, empty_trash
from andon.runtime.logging import Logger


def leftovers(root: Root) -> tuple[Path, ...]:
    """Folders half made or half removed by an agent that was ended in the middle."""
    return tuple(folder for folder in claim_folders(root) if folder.name.startswith((GONE_MARK, NEW_MARK)))


async def remove_folders(folders: Mapping[Path, str | None], log: Logger, intend: Intend = unwritten) -> bool:
    """Removes each folder (with its cgroup) that nobody uses; says whether none is left.

    `intend` writes down what goes. Raises OSError.
    """
    used = await asyncio.to_thread(used_folders, folders)
    done = not used
    for folder, cgroup in folders.items():
        if folder in used or not remove_cgroup(cgroup):
            log.info("slot_folder.kept", path=str(folder), reason="a process still uses it")
            done = False
            continue
        gone, intent = _put_aside(folder, intend)
        if (why := await _remove_tree(gone)) is None:
            intent.gone()
            log.info("slot_folder.removed", path=str(folder))
        else:
            log.warning("slot_folder.kept", path=str(folder), reason=why)
            done = False
    return done


def _put_aside(folder: Path, intend: Intend) -> tuple[Path, Intent]:
    """Renamed first, so that a folder that is half removed is never taken for a claim."""
    if folder.name.startswith(GONE_MARK):
        return folder, Intent(None)
    intent = intend(str(folder), GONE_MARK + folder.name)
    happened = False
    try:
        gone = folder.rename(folder.with_name(GONE_MARK + folder.name))
        happened = True
        return gone, intent
    finally:
        intent.settle(happened)


async def _remove_tree(gone: Path) -> str | None:
    """Why not all of it went, in one sentence; None: it did."""
    # A program of its own: it stays on one filesystem, follows no link, and can be broken off.
    process = await asyncio.create_subprocess_exec(
        "rm", "-rf", "--one-file-system", "--", str(gone), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        if await process.wait() == 0:
            return None
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return await _remove_rest(gone)


async def _remove_rest(gone: Path) -> str | None:
    """What that program cannot: what a job made immutable, or closed to its own user. And it says what stays."""
    stop = threading.Event()
    try:
        remains = await asyncio.to_thread(_empty_and_remove, gone, lambda: not stop.is_set())
    finally:
        stop.set()
    if not remains:
        return None
    first = remains[0]
    rights = "" if os.geteuid() == 0 else " The agent is not root, so what a container left as root stays."
    return f"{len(remains)} things could not be removed, as {first.path!r}: {first.reason}{rights}"


def _empty_and_remove(gone: Path, go_on: Callable[[], bool]) -> tuple[Remains, ...]:
    remains = empty_trash(gone, go_on=go_on).remains
    if not remains:
        gone.rmdir()
    return remains
