"""`POST /webhooks/github`: checked, stored durably, acknowledged. No logic (design.md, the road)."""

import re

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from andon.github import signature
from andon.github.parsing import EVENTS, action_of
from andon.store.deliveries import Received
from andon.store.intake import Kept
from andon.store.spool import SpoolFull
from andon.web.answers import Refusal, answer, read_body
from andon.web.control_plane import control_plane

MAX_BODY = 25 * 1024 * 1024
"""GitHub sends no larger payload (github-contract section 2)."""
_SIGNATURE = re.compile("sha256=[0-9a-f]{64}")
_UNEQUAL = "The hook's secret at GitHub and webhook_secret_file must be equal."


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Answer 202."""

    delivery: str
    stored: bool


async def receive(request: Request) -> Response:
    """Answers 202 once the delivery is durable, also for duplicates and for events we ignore."""
    control = control_plane(request)
    event = request.headers.get("x-github-event", "")
    guid = request.headers.get("x-github-delivery", "")
    # A bounded label: whoever can reach this port could invent event names without end.
    label = event if event in EVENTS else "other"

    def refuse(status: int, reason: str, message: str, hint: str | None = None) -> Refusal:
        control.metrics.count("andon_deliveries_total", event=label, outcome="refused", reason=reason)
        control.log.warning("delivery.refused", reason=reason, github_event=label, guid=guid[:64])
        return Refusal(status, message, hint)

    given = request.headers.get(signature.HEADER)
    declared = request.headers.get("content-length", "")
    # Nobody who could not have signed it makes us read a body; one that is too large is that first of all.
    if not (declared.isdecimal() and int(declared) > MAX_BODY):
        if given is None:
            raise refuse(401, "no_signature", "The delivery is not signed.", "Set the hook's secret at GitHub.")
        if not _SIGNATURE.fullmatch(given):
            raise refuse(401, "bad_signature", "The signature is not sha256= and 64 hex digits.", _UNEQUAL)
    try:
        body = await read_body(request, MAX_BODY)
    except Refusal as error:
        hint = "GitHub sends no larger payload. Nothing was stored."
        raise refuse(error.status, "too_large", str(error), hint) from None
    if not signature.is_signed(control.webhook_secret, body, given):
        raise refuse(401, "bad_signature", "The signature does not fit the body.", _UNEQUAL)
    if not event or not guid or len(guid) > 200:
        raise refuse(400, "no_headers", "X-GitHub-Event and X-GitHub-Delivery are missing or unusable.")
    try:
        action = action_of(body)
    except (ValueError, RecursionError):
        hint = "Set the hook's content type to application/json."
        raise refuse(400, "not_json", "The body is not JSON.", hint) from None
    received = Received(guid=guid, event=event[:100], action=action, received_at=control.clock.now(), body=body)
    try:
        kept = await control.intake.keep(received)
    except (OSError, SpoolFull) as error:
        control.log.error("delivery.not_stored", guid=guid, error=str(error)[:300])
        hint = "Nothing was stored. Free space on its disk, then ask GitHub to deliver it again."
        raise refuse(503, "not_stored", "Neither the database nor the disk takes the delivery.", hint) from None
    if kept is Kept.DUPLICATE:
        control.metrics.count("andon_deliveries_total", event=label, outcome="duplicate", reason="same_guid")
    elif kept is Kept.SPOOLED:
        control.metrics.count("andon_deliveries_total", event=label, outcome="spooled", reason="database_away")
    return answer(Stored(delivery=guid, stored=True), 202)
