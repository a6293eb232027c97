"""What must hold before a runner is started on a slot: room where it writes, and a start that was tried (R38, R43)."""

from collections.abc import Callable
from typing import Protocol

from andon.agent.slot_table import Slot


class Gate(Protocol):
    """Asked by who starts runners."""

    def why_closed(self, slot: int) -> str | None:
        """Why the slot takes no runner now, as last known; None: nothing speaks against it."""
        ...

    async def admit(self, slot: Slot) -> str | None:
        """The same right before a start: what is known too long is found out anew."""
        ...

    def no_room(self) -> None:
        """A start was refused for want of room."""
        ...


class OpenGate:
    """Of an agent that watches nothing."""

    def why_closed(self, slot: int) -> str | None:
        """Nothing speaks against it."""
        return None

    async def admit(self, slot: Slot) -> str | None:
        """Nothing speaks against it."""
        return None

    def no_room(self) -> None:
        """Nobody to tell."""


class Readiness(Protocol):
    """Whether a start was tried on the slots."""

    def why_not_ready(self, slot: int) -> str | None: ...
    async def admit(self, slot: Slot) -> str | None: ...


class HostGate:
    """By the disk guard (`why_closed`, `no_room`) and the start probes."""

    def __init__(
        self, why_closed: Callable[[int], str | None], no_room: Callable[[], None], readiness: Readiness
    ) -> None:
        self._why_closed, self._no_room, self._readiness = why_closed, no_room, readiness

    def why_closed(self, slot: int) -> str | None:
        """The disk's reason first: it is the cause of the other."""
        return self._why_closed(slot) or self._readiness.why_not_ready(slot)

    async def admit(self, slot: Slot) -> str | None:
        """The disk's reason first, as it costs nothing."""
        return self._why_closed(slot.number) or await self._readiness.admit(slot)

    def no_room(self) -> None:
        """The guard looks at once."""
        self._no_room()
