"""Lines of the deletion journal for what goes without a lease: folders of claims, leftovers of jobs, what was declared
outside the root (R49)."""

from collections.abc import Callable

from andon.agent.declared.things import Thing
from andon.agent.disk.journal import DeletionJournal
from andon.model.disk import Deletion, PathClass
from andon.runtime.clock import Clock

BY_KEEPER, BY_GUARD = "agent:keeper", "agent:guard"
"""Who took a workspace away: its time was over, or its room was needed. The latter took what was declared, too."""
BY_SUPERVISOR, BY_HEALER = "agent:supervisor", "agent:healer"


class Intent:
    """What was written down, and is settled with what became of it. `journal` None: nothing was."""

    def __init__(self, journal: DeletionJournal | None, id: str = "", trash_name: str = "") -> None:
        self._journal, self._id, self._trash_name = journal, id, trash_name

    def settle(self, happened: bool) -> None:
        """Whether the rename happened."""
        if self._journal is not None:
            (self._journal.moved if happened else self._journal.taken_back)(self._id)

    def gone(self, size: int | None = None) -> None:
        """It is deleted, too; `size` None: how many bytes it had nobody measured."""
        if self._journal is not None:
            self._journal.emptied(self._trash_name, size)


Intend = Callable[[str, str], Intent]
"""Called with the path and its name in the trash before it is renamed. Raises OSError: then it must not be."""


def unwritten(path: str, trash_name: str) -> Intent:
    """For where there is no journal."""
    return Intent(None)


class Removals:
    """Writes them down. `nonce` gives ten characters that nobody had before."""

    def __init__(self, journal: DeletionJournal, *, nonce: Callable[[], str], clock: Clock) -> None:
        self._journal, self._nonce, self._clock = journal, nonce, clock

    def of_claim(self, path: str, trash_name: str) -> Intent:
        """The folder of a claim that is over, and that nobody uses."""
        return self._intend(path, trash_name, PathClass.DEAD, BY_SUPERVISOR, "its claim is over")

    def of_leftover(self, path: str, trash_name: str) -> Intent:
        """What an earlier job left in a runner's work folder, and the next one could neither read nor delete."""
        return self._intend(path, trash_name, PathClass.CACHE, BY_HEALER, "the next job could not have used it")

    def of_declared(self, thing: Thing, trash_name: str) -> Intent:
        """What was declared outside the root, and may go by its own rule."""
        return self._intend(str(thing.path), trash_name, thing.path_class, BY_GUARD, thing.why, thing.bytes)

    def _intend(
        self, path: str, trash_name: str, path_class: PathClass, actor: str, reason: str, size: int | None = None
    ) -> Intent:
        deletion = Deletion(
            id=f"del_{self._nonce()}",
            at=self._clock.now(),
            path=path,
            path_class=path_class.value,
            actor=actor,
            reason=reason,
            bytes=size,
        )
        self._journal.begin(deletion, trash_name)
        return Intent(self._journal, deletion.id, trash_name)
