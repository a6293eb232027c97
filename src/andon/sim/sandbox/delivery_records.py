"""Webhooks, what was to be delivered to them, and each time it was sent."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from andon.sim.sandbox.records import Repository


class SendState(StrEnum):
    HELD = "held"
    """Delayed or held back by a fault."""
    READY = "ready"
    SENDING = "sending"
    DONE = "done"
    LOST = "lost"


class Hook(msgspec.Struct, kw_only=True, eq=False):
    id: int
    scope: str
    """Key of the repository, of the owner for all its repositories, or `app:ID` for an App's."""
    target_id: int
    url: str
    content_type: str
    secret: str
    events: tuple[str, ...]
    active: bool
    created_at: datetime
    updated_at: datetime
    last_status: str = "unused"
    last_code: int | None = None
    deliveries: "list[Delivery]" = []
    over: "list[Send]" = []
    """The sends that are over, in the order of the log, the oldest first."""
    held: "list[Send]" = []
    """Reordered sends that wait for later ones."""

    @property
    def target_type(self) -> str:
        """Whose it is, in the words of the delivery's header."""
        if self.scope.startswith("app:"):
            return "integration"
        return "repository" if "/" in self.scope else "organization"

    def wants(self, event: str) -> bool:
        return self.active and ("*" in self.events or event in self.events)

    def __repr__(self) -> str:
        return f"<hook {self.id} at {self.scope}>"


class Delivery(msgspec.Struct, kw_only=True, eq=False):
    guid: str
    hook: Hook
    event: str
    action: str | None
    repository: Repository | None
    job: int | None
    installation: int | None
    payload: dict[str, Any]
    """Kept in parts that many deliveries share; encoded again for each send."""
    made_at: datetime
    faults: tuple[str, ...] = ()
    sends: "list[Send]" = []

    def __repr__(self) -> str:
        return f"<delivery {self.guid} {self.event}.{self.action}>"


class Send(msgspec.Struct, kw_only=True, eq=False):
    """One time that a delivery is sent: one line of GitHub's delivery log."""

    id: int
    delivery: Delivery
    state: SendState = SendState.READY
    redelivery: bool = False
    later_ones: int = 0
    """How many later sends of this hook must be over first (reordered)."""
    until_job_completed: int | None = None
    """The job whose `completed` must be sent first (a fault)."""
    delivered_at: datetime | None = None
    duration: float | None = None
    status_code: int | None = None
    status: str | None = None


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A request to be posted now; `send` is named again when its end is reported."""

    send: int
    url: str
    headers: dict[str, str]
    body: bytes
