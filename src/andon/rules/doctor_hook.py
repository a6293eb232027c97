"""Judges the webhook at GitHub, and the ledger of what it sent against what we have (R5)."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from andon.model.delivery_states import NOT_HERE, DeliveryState
from andon.rules.doctor_finding import Check, Finding, Severity, judged, skipped, unknown
from andon.rules.github_permissions import EVENTS

PATH = "/webhooks/github"
IN_FLIGHT = timedelta(minutes=1)
"""A delivery this young may still be on its way to our store."""


class HookFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One webhook at GitHub."""

    where: str
    """A repository, an organisation, or "the App"."""
    url: str | None
    active: bool = True
    events: tuple[str, ...]
    content_type: str | None = "json"
    secret: bool | None = None
    """Whether it has one; None: GitHub does not say."""
    last_code: int | None = None
    last_status: str | None = None


class HooksFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The webhooks that should bring one repository's events. `hooks` None: they could not be listed."""

    repository: str
    """Or an owner, whose own webhooks bring everything."""
    hooks: tuple[HookFacts, ...] | None
    said: str = ""
    """Why they could not be listed; with `hooks`: why others could not, that may bring its events, too."""


def judge_hooks(found: tuple[HooksFacts, ...], *, address: str | None) -> Check:
    """Whether each repository's events come to `address`; None: nothing is sent to us by design."""
    if address is None:
        return skipped("webhook", 'not needed: ingest = "poll"')
    findings: dict[str, Finding] = {}
    untold: list[HooksFacts] = []
    for one in found:
        if one.hooks is None:
            untold.append(one)
            continue
        ours = [hook for hook in one.hooks if is_ours(hook.url, address)]
        if one.said and not ours and not any(_is_stray(hook) for hook in one.hooks):
            untold.append(one)
            continue
        for finding in _of_hooks(ours) if ours else (_no_hook(one, address),):
            findings[finding.what] = finding
    partly = f"{untold[0].repository}: {untold[0].said}" if untold else None
    if not found:
        return unknown("webhook", "no repository is named, so no webhook can be looked for")
    return judged("webhook", f"sends to {address}", findings.values(), partly=partly)


def is_ours(url: str | None, address: str) -> bool:
    """Whether a webhook with this address sends to ours."""
    return url is not None and url.rstrip("/").lower() == address.rstrip("/").lower()


def _is_stray(hook: HookFacts) -> bool:
    """Whether a webhook that is not ours was meant for an Andon."""
    return hook.url is not None and hook.url.rstrip("/").endswith(PATH)


def _no_hook(one: HooksFacts, address: str) -> Finding:
    strays = [hook for hook in one.hooks or () if _is_stray(hook)]
    if strays:
        return Finding(
            id="hook.address",
            what=f"{strays[0].where}: the webhook sends to {strays[0].url}, and Andon listens at {address}.",
            do="Correct the webhook's address at GitHub, or [server] public_url.",
        )
    return Finding(
        id="hook.absent",
        what=f"{one.repository}: no webhook sends to {address}.",
        do="Make one there (or at the organisation, or use an App): content type application/json, the secret of "
        'webhook_secret_file, events workflow_job and workflow_run. Or set ingest = "poll".',
    )


def _of_hooks(hooks: list[HookFacts]) -> Iterator[Finding]:
    active = [hook for hook in hooks if hook.active]
    if not active:
        yield Finding(
            id="hook.inactive",
            what=f"{hooks[0].where}: the webhook is switched off.",
            do="Switch it on at GitHub, in the webhook's settings under Active.",
        )
        return
    heard = {event for hook in active for event in hook.events}
    for event in EVENTS:
        if event.needed and event.name not in heard and "*" not in heard:
            yield Finding(
                id="hook.events",
                what=f'{active[0].where}: the webhook does not send "{event.name}". It tells: {event.reason}',
                do=f'Add "{event.name}" to its events at GitHub.',
            )
    for hook in active:
        if hook.content_type != "json":
            yield Finding(
                id="hook.content_type",
                what=f'{hook.where}: the webhook sends the content type "{hook.content_type}", which is not read.',
                do="Set its content type to application/json at GitHub.",
            )
        if hook.secret is False:
            yield Finding(
                id="hook.no_secret",
                what=f"{hook.where}: the webhook has no secret, so its deliveries are refused.",
                do="Put the content of webhook_secret_file into its secret at GitHub.",
            )
        if hook.last_code is not None and hook.last_code >= 300:
            yield Finding(
                id="hook.failing",
                severity=Severity.WARNING,
                what=f"{hook.where}: the webhook's last delivery was answered {hook.last_code}.",
                do="See the deliveries below; GitHub's page of the webhook shows the answer under Recent Deliveries.",
            )


class SentTry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of GitHub's delivery log."""

    guid: str
    at: datetime
    code: int
    event: str
    action: str | None = None
    redelivery: bool = False
    id: int | None = None
    """GitHub's number of the try."""


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """What GitHub sent against what we have, by GUID, since a time (R5)."""

    since: datetime
    sent: int
    received: int
    failed: int
    """No try of it succeeded."""
    requested: int
    """Asked for again, by us or by somebody else."""
    never_seen: int
    """Not in our store, whatever GitHub was answered."""
    not_understood: int = 0
    """Stored, and put aside because applying it failed in us."""


def make_ledger(
    tries: tuple[SentTry, ...], ours: dict[str, str], *, since: datetime, now: datetime
) -> tuple[Ledger, tuple[SentTry, ...], tuple[SentTry, ...]]:
    """The ledger; with the last try of each delivery that failed, and of each that we never saw.

    `ours`: our state by GUID; one that we know only from GitHub's log is not here. Deliveries that may
    still be on their way are left out.
    """
    asked_for = {guid for guid, state in ours.items() if state == DeliveryState.REQUESTED}
    ours = {guid: state for guid, state in ours.items() if state not in NOT_HERE}
    by_guid: dict[str, list[SentTry]] = {}
    for one in tries:
        if since <= one.at:
            by_guid.setdefault(one.guid, []).append(one)
    settled = {
        guid: sorted(found, key=lambda one: one.at)
        for guid, found in by_guid.items()
        if guid in ours or min(one.at for one in found) <= now - IN_FLIGHT or any(one.code >= 300 for one in found)
    }
    failed = [found[-1] for found in settled.values() if not any(200 <= one.code < 300 for one in found)]
    unseen = [found[-1] for guid, found in settled.items() if guid not in ours]
    ledger = Ledger(
        since=since,
        sent=len(settled),
        received=sum(1 for guid in settled if guid in ours),
        failed=len(failed),
        requested=sum(
            1 for guid, found in settled.items() if guid in asked_for or any(one.redelivery for one in found)
        ),
        never_seen=len(unseen),
        not_understood=sum(1 for guid in settled if ours.get(guid) == "failed"),
    )
    return ledger, tuple(failed), tuple(unseen)


def judge_ledger(
    ledger: Ledger,
    failed: tuple[SentTry, ...],
    unseen: tuple[SentTry, ...],
    *,
    partly: str | None = None,
    caveat: str | None = None,
) -> Check:
    """Whether what GitHub sent has arrived. `partly`: a log that could not be read; `caveat`: one longer than we read.

    A log that could not be read is never fine: what failed may stand in it.
    """
    findings: list[Finding] = []
    refused = [one for one in failed if one.code == 401]
    if refused:
        findings.append(
            Finding(
                id="delivery.signature",
                what=f"{_many(refused)} of the last hours had a signature that we refused (401), the last at "
                f"{_time(refused)}.",
                do="The webhook's secret at GitHub and webhook_secret_file differ: set both to the same.",
            )
        )
    others = [one for one in failed if one.code != 401]
    if others:
        findings.append(
            Finding(
                id="delivery.failed",
                what=f"{_many(others)} of the last hours failed, the last at {_time(others)} with the answer "
                f"{max(others, key=lambda one: one.at).code}.",
                do="Make [server] public_url reachable for GitHub; Andon's sweep finds the jobs meanwhile, later.",
            )
        )
    lost = [one for one in unseen if 200 <= one.code < 300]
    if lost:
        findings.append(
            Finding(
                id="delivery.never_seen",
                what=f"{_many(lost)} succeeded by GitHub's word and are not in our store, the last at {_time(lost)}.",
                do="Does the address lead to this control plane, or to another one with a database of its own?",
            )
        )
    if ledger.not_understood:
        findings.append(
            Finding(
                id="delivery.not_applied",
                what=f"{ledger.not_understood} deliveries were stored and could not be applied.",
                do="See /api/v1/deliveries?state=failed and the control plane's log; report it as a fault of Andon.",
            )
        )
    note = (
        f"{ledger.sent} sent, {ledger.received} received, {ledger.failed} failed, {ledger.requested} re-requested, "
        f"{ledger.never_seen} never seen"
    )
    return judged("deliveries", note, findings, partly=partly, caveat=caveat)


def _many(found: list[SentTry]) -> str:
    return f"{len(found)} {'delivery' if len(found) == 1 else 'deliveries'}"


def _time(found: list[SentTry]) -> str:
    return max(one.at for one in found).strftime("%Y-%m-%dT%H:%M:%SZ")
