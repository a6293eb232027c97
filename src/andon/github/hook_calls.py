"""Calls about webhooks and their delivery log: what was sent, and sending it again (R5, contract section 2)."""

from collections.abc import Sequence
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from andon.github.asking import PAGE, Asking, Listed, encode
from andon.github.call import Call, Priority
from andon.github.hook_payloads import DeliveryDetail, DeliveryObject, DeliveryPage, HookLog, HookObject
from andon.github.outcomes import Failed
from andon.github.scope import Scope

DELIVERIES_KEPT_DAYS = 3
"""How long a delivery can be seen and sent again at github.com (7 days on Enterprise Server)."""


class HookCalls(Asking):
    """What is asked about webhooks."""

    async def hooks(self, scope: Scope) -> Listed[HookObject] | Failed:
        """The webhooks of a repository or organisation."""
        call = Call(
            method="GET",
            path=f"{scope.path}/hooks",
            endpoint=f"GET {scope.template}/hooks",
            owner=scope.owner,
            conditional=True,
        )
        return await self._list(call, tuple[HookObject, ...], lambda page: page)

    async def create_hook(self, scope: Scope, *, url: str, secret: str, events: Sequence[str]) -> HookObject | Failed:
        """Makes a webhook that sends JSON. INVALID: one with this address exists already."""
        config = {"url": url, "content_type": "json", "secret": secret, "insecure_ssl": "0"}
        call = Call(
            method="POST",
            path=f"{scope.path}/hooks",
            endpoint=f"POST {scope.template}/hooks",
            owner=scope.owner,
            body=encode(name="web", active=True, events=list(events), config=config),
            priority=Priority.ACT,
            creates_content=True,
        )
        return await self._ask(call, HookObject)

    async def deliveries(
        self,
        log: HookLog,
        *,
        status: Literal["success", "failure"] | None = None,
        cursor: str | None = None,
        per_page: int = PAGE,
        priority: Priority = Priority.SWEEP,
    ) -> DeliveryPage | Failed:
        """One page of the delivery log, newest first; `cursor` comes from the page before."""
        query = {"per_page": str(per_page)}
        if status is not None:
            query["status"] = status
        if cursor is not None:
            query["cursor"] = cursor
        # The first page of what failed is asked for again and again, and rarely changes.
        call = _log_call("GET", log, "", query=query, priority=priority, conditional=cursor is None)
        answer = await self._ask_whole(call, tuple[DeliveryObject, ...])
        if isinstance(answer, Failed):
            return answer
        items, got = answer
        return DeliveryPage(items=items, next=next_cursor(got.headers.get("link")), at=got.at)

    async def delivery(
        self, log: HookLog, delivery_id: int, *, priority: Priority = Priority.LOOKUP
    ) -> DeliveryDetail | Failed:
        """One try with what was sent and answered."""
        return await self._ask(_log_call("GET", log, f"/{delivery_id}", "/{id}", priority=priority), DeliveryDetail)

    async def redeliver(self, log: HookLog, delivery_id: int) -> Failed | None:
        """Asks GitHub to send a delivery once more; it comes with the same GUID. GONE: too old."""
        path, template = f"/{delivery_id}/attempts", "/{id}/attempts"
        return await self._do(_log_call("POST", log, path, template, priority=Priority.ACT))


def next_cursor(link: str | None) -> str | None:
    """The cursor of the page that a Link header calls next, or None."""
    for part in (link or "").split(","):
        address, _, rest = part.partition(";")
        if 'rel="next"' in rest:
            found = parse_qs(urlsplit(address.strip().strip("<>")).query).get("cursor")
            return found[0] if found else None
    return None


def _log_call(
    method: str,
    log: HookLog,
    path: str,
    template: str | None = None,
    *,
    priority: Priority,
    query: dict[str, str] | None = None,
    conditional: bool = False,
) -> Call:
    if log.scope is None or log.hook_id is None:
        owner, before, before_template = None, "/app/hook/deliveries", "/app/hook/deliveries"
    else:
        owner = log.scope.owner
        before = f"{log.scope.path}/hooks/{log.hook_id}/deliveries"
        before_template = f"{log.scope.template}/hooks/{{hook}}/deliveries"
    return Call(
        method=method,
        path=f"{before}{path}",
        endpoint=f"{method} {before_template}{path if template is None else template}",
        owner=owner,
        query=query or {},
        priority=priority,
        conditional=conditional,
    )
