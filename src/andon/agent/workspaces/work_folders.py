"""The `_andon` folders in runners' own work folders: where workspaces of `place = "work"` lie (R92).

A claim's runner folder is new and has one job. An adopted runner's work folder has had jobs, and belongs to
their user: each look at it asks anew that no link leads there and that `_andon` is the agent's own.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from andon.agent.held import claim_folders
from andon.agent.layout import IN_WORK, Root
from andon.agent.workspaces.making import is_own
from andon.agent.workspaces.parts import CannotBegin


class WorkFolders:
    """`adopted_works` gives the work folders of adopted runners, by slot."""

    def __init__(self, root: Root, adopted_works: Callable[[], Mapping[int, Path]]) -> None:
        self._root, self._adopted_works = root, adopted_works
        self._used: dict[Path, int] = {}
        """Of adopted runners, since our start: one whose adoption was undone meanwhile still has its trash."""

    def of(self, slot: int, claim: str | None) -> Path:
        """The work folder of this runner. Raises CannotBegin."""
        if claim is not None:
            return self._root.claim(slot, claim) / "runner" / IN_WORK.parent
        work = self._adopted_works().get(slot)
        if work is None:
            raise CannotBegin("The work folder of this adopted runner is not known.")
        return work

    def all(self) -> Iterator[tuple[int, Path]]:
        """Every `_andon` that is there, with its slot."""
        for claim in claim_folders(self._root):
            folder = claim / "runner" / IN_WORK
            if claim.parent.name.isdigit() and folder.is_dir() and not folder.is_symlink():
                yield int(claim.parent.name), folder
        self._used |= {work / IN_WORK.name: slot for slot, work in self._adopted_works().items()}
        for folder, slot in self._used.items():
            if os.path.realpath(folder) == str(folder) and is_own(folder):
                yield slot, folder
