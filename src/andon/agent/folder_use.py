"""Whether anything still uses the folder of a claim that is over, by evidence of the kernel."""

from collections.abc import Iterable
from pathlib import Path

from andon.agent.leases.process_use import Folder, find_uses


def used_folders(folders: Iterable[Path]) -> set[Path]:
    """Those of `folders` that a process works in, runs from, holds open, or has mounted. Raises OSError.

    Processes that we may not look into are no use: without root they are none that a runner of ours
    left behind, as all of ours run as our own user then.
    """
    by_id = {str(number): folder for number, folder in enumerate(folders)}
    wanted = [Folder(id=id, path=str(folder.resolve())) for id, folder in by_id.items()]
    return {by_id[id] for id in find_uses(wanted).holds} if wanted else set()
