"""GitHub's objects around webhooks and their delivery log (contract section 2)."""

from datetime import datetime
from typing import Any

import msgspec

from andon.github.scope import Scope


class HookConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where a hook sends to; the secret comes back as asterisks, if at all."""

    url: str | None = None
    content_type: str | None = None
    insecure_ssl: str | int | None = None
    secret: str | None = None
    """Asterisks where there is one; it never comes back itself."""


class LastResponse(msgspec.Struct, frozen=True, kw_only=True):
    """How the last delivery went."""

    code: int | None = None
    status: str | None = None
    message: str | None = None


class HookObject(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook of a repository or organisation."""

    id: int
    active: bool = True
    events: tuple[str, ...] = ()
    config: HookConfig = HookConfig()
    name: str | None = None
    last_response: LastResponse | None = None


class HookLog(msgspec.Struct, frozen=True, kw_only=True):
    """Whose delivery log: one hook of a repository or organisation, or the App's own."""

    scope: Scope | None = None
    hook_id: int | None = None
    """Both None: the App's hook."""


class DeliveryObject(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a delivery, as the log lists it. Several tries can share one `guid`."""

    id: int
    guid: str
    delivered_at: datetime
    event: str
    status_code: int
    redelivery: bool = False
    status: str | None = None
    duration: float | None = None
    action: str | None = None
    installation_id: int | None = None
    repository_id: int | None = None
    throttled_at: datetime | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the receiver took it."""
        return 200 <= self.status_code < 300


class SentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What GitHub sent; headers as GitHub writes them."""

    headers: dict[str, Any] | None = None
    payload: Any = None
    """The body as JSON, not byte for byte: it cannot be checked against the signature."""


class GivenResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver answered."""

    headers: dict[str, Any] | None = None
    payload: str | None = None


class DeliveryDetail(DeliveryObject, frozen=True, kw_only=True):
    """One try with its content."""

    url: str | None = None
    request: SentRequest | None = None
    response: GivenResponse | None = None


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a delivery log, newest first. `next` is the cursor of the next one."""

    items: tuple[DeliveryObject, ...]
    next: str | None
    at: datetime | None
