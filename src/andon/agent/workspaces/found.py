"""Directories of ours that no lease speaks of: left by a reboot, or by an agent that was ended between two steps."""

import os
import stat
from collections.abc import Container, Iterator
from pathlib import Path

from andon.agent.workspaces.identity import parse
from andon.agent.workspaces.parts import Found, Made

AT_MOST = 200
"""Of one folder at one look: job code may fill a folder of its own with such names."""


def found_below(runs: Path, known: Container[str]) -> Iterator[Found]:
    """Every `<slot>/<id>` below `runs` that is a directory, has a name of ours and is not `known`.

    What else lies there is nobody's that we know, and is left alone. Raises OSError.
    """
    for slot in _folders(runs):
        if slot.name.isascii() and slot.name.isdigit():
            yield from found_in(Path(slot.path), int(slot.name), known)


def found_in(folder: Path, slot: int, known: Container[str]) -> Iterator[Found]:
    """The same for one slot's `folder`."""
    left = AT_MOST
    for each in _folders(folder):
        if left and each.name not in known and parse(each.name) is not None:
            left -= 1
            facts = each.stat(follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                made = Made(path=Path(each.path), device=facts.st_dev, inode=facts.st_ino)
                yield Found(name=each.name, slot=slot, made=made)


def _folders(path: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            yield from [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return
