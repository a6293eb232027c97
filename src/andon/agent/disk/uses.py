"""Which folders of this host are written to, and by which slots: what the guard watches (R52)."""

from collections.abc import Callable, Iterable
from pathlib import Path

from andon.agent.adoption.slots import AdoptedSlot
from andon.agent.disk.filesystems import Use
from andon.agent.layout import Root

SYSTEM = Use(Path("/"), frozenset())
"""Apart from the rest: full, it takes every runner of the host offline (P1). Slots close by it only where they write
to it."""


def uses_of(
    root: Root,
    slots: Iterable[int],
    adopted: Iterable[AdoptedSlot],
    *,
    in_root: Callable[[int], bool],
    declared: Iterable[Path] = (),
) -> tuple[Use, ...]:
    """The agent's root with its `slots`; of each adopted runner its own folder (its `_diag`) and its work folder; what
    was `declared` outside the root, which closes no slot.

    `in_root` says of an adopted slot whether its workspaces lie below the root.
    """
    adopted = tuple(adopted)
    own = frozenset(slots) | {one.slot for one in adopted if in_root(one.slot)}
    theirs = [Use(path, frozenset({one.slot})) for one in adopted for path in (one.folder, one.work)]
    return (Use(root.path, own), *theirs, *(Use(path, frozenset()) for path in declared), SYSTEM)
