"""Clears what was being written when an agent or a command was ended: files that never got their name (R59).

Only in folders that nobody but the agent's user may write to. A claim's own folder is left out: a living shim
writes there, and it goes as a whole.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from andon.agent.adoption.records import Records
from andon.agent.layout import Root
from andon.runtime.errors import Refused
from andon.runtime.files import clear_unfinished
from andon.runtime.logging import Logger


def clear_unfinished_files(root: Root, log: Logger) -> None:
    """Called under the root's lock, before the agent writes anything. What cannot be cleared is said."""
    records = Records(root)
    try:
        # A command that adopts writes beside the agent; it holds this lock, and then the next start clears.
        with records.locked() if records.folder.is_dir() else contextlib.nullcontext():
            cleared = sum(clear_unfinished(folder) for folder in _folders(root, records))
            for key in records.all_keys():
                # Begun and never written down, or all but forgotten: nothing of the folder was changed by us.
                with contextlib.suppress(OSError):
                    (records.folder / key).rmdir()
    except Refused:
        return
    except OSError as error:
        log.warning("unfinished.stays", reason=str(error))
        return
    if cleared:
        log.info("unfinished.cleared", files=cleared)


def _folders(root: Root, records: Records) -> Iterator[Path]:
    yield from (root.path, root.bin, root.hooks)
    for above in (records.folder, records.hooks):
        if above.is_dir():
            yield from (each for each in above.iterdir() if each.is_dir() and not each.is_symlink())
