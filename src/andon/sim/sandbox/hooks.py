"""Webhooks: who wants which event, the deliveries that follow, what befalls them, and their log.

Nothing is sent here: `take` hands out what is to be posted now, `report` takes the outcome. There
is no automatic redelivery (github-contract.md section 2).
"""

from bisect import insort
from collections import deque
from datetime import datetime, timedelta
from typing import Any

from andon.sim.sandbox.delivery_records import Delivery, Hook, Outgoing, Send, SendState
from andon.sim.sandbox.fault_kinds import FaultKind
from andon.sim.sandbox.faults import Faults
from andon.sim.sandbox.records import Repository
from andon.sim.sandbox.refusals import ApiError, not_found
from andon.sim.sandbox.signing import headers_of, request_body
from andon.sim.sandbox.world import World

_MOST_LATER_ONES = 3


class Hooks:
    """All webhooks of the sandbox and their deliveries."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._hooks: dict[str, dict[int, Hook]] = {}
        self._ready: deque[Send] = deque()
        self._sends: dict[int, Send] = {}
        self.deliveries: list[Delivery] = []
        self.never_created: list[dict[str, Any]] = []

    def create(
        self,
        scope: str,
        *,
        target_id: int,
        url: str,
        content_type: str,
        secret: str,
        events: tuple[str, ...],
        active: bool,
    ) -> Hook:
        """Makes a webhook and pings it. Raises ApiError 422 when the same address is there already."""
        hooks = self._hooks.setdefault(scope, {})
        if any(hook.url == url and set(hook.events) & set(events) for hook in hooks.values()):
            raise ApiError(422, "Hook already exists on this repository")
        now = self._world.now()
        hook = Hook(
            id=self._world.new_id("hook"),
            scope=scope,
            target_id=target_id,
            url=url,
            content_type=content_type,
            secret=secret,
            events=events,
            active=active,
            created_at=now,
            updated_at=now,
        )
        hooks[hook.id] = hook
        return hook

    def list(self, scope: str) -> "list[Hook]":
        """The webhooks of this repository or owner."""
        return [*self._hooks.get(scope, {}).values()]

    def get(self, scope: str, hook_id: int) -> Hook:
        """One webhook; raises ApiError 404."""
        found = self._hooks.get(scope, {}).get(hook_id)
        if found is None:
            raise not_found()
        return found

    def change(
        self,
        hook: Hook,
        *,
        url: str | None = None,
        content_type: str | None = None,
        secret: str | None = None,
        events: tuple[str, ...] | None = None,
        active: bool | None = None,
    ) -> None:
        """Changes what is given of a webhook."""
        hook.url = hook.url if url is None else url
        hook.content_type = hook.content_type if content_type is None else content_type
        hook.secret = hook.secret if secret is None else secret
        hook.events = hook.events if events is None else events
        hook.active = hook.active if active is None else active
        hook.updated_at = self._world.now()

    def delete(self, scope: str, hook_id: int) -> None:
        """Removes a webhook; what was to be sent to it is dropped."""
        hook = self.get(scope, hook_id)
        hook.active = False
        del self._hooks[scope][hook_id]

    def announce(
        self,
        repository: Repository,
        event: str,
        action: str,
        payload: dict[str, Any],
        *,
        job: tuple[int, str] | None = None,
    ) -> None:
        """Makes a delivery for everybody who wants `event` of this repository."""
        for scope in (repository.key, repository.owner_key):
            for hook in self._hooks.get(scope, {}).values():
                if hook.wants(event):
                    self.deliver(hook, event, action, payload, repository=repository, job=job)
        for app in self._world.apps.values():
            if app.hook is None or not app.hook.wants(event):
                continue
            installation = app.installations.get(repository.owner_key)
            if installation is None or installation.suspended_at or not installation.covers(repository):
                continue
            told = {**payload, "installation": {"id": installation.id, "node_id": f"IN_sandbox{installation.id}"}}
            self.deliver(app.hook, event, action, told, repository=repository, job=job, installation=installation.id)

    def deliver(
        self,
        hook: Hook,
        event: str,
        action: str | None,
        payload: dict[str, Any],
        *,
        repository: Repository | None,
        job: tuple[int, str] | None = None,
        installation: int | None = None,
    ) -> None:
        """Makes one delivery, with whatever befalls it."""
        name = repository.full_name if repository else None
        befalls = self._faults.for_delivery(event=event, action=action, repository=name, job=job[1] if job else None)
        seconds = {fault.kind: fault.seconds or 0.0 for fault in befalls}
        kinds = tuple(fault.kind.value for fault in befalls)
        delivery = Delivery(
            guid=self._world.new_guid(),
            hook=hook,
            event=event,
            action=action,
            repository=repository,
            job=job[0] if job else None,
            installation=installation,
            payload=payload,
            made_at=self._world.now(),
            faults=kinds,
        )
        if FaultKind.DELIVERY_NEVER_CREATED in seconds:
            self.never_created.append(
                {"event": event, "action": action, "repository": name, "job": delivery.job, "faults": list(kinds)}
            )
            return
        hook.deliveries.append(delivery)
        self.deliveries.append(delivery)
        send = self._new_send(delivery)
        if FaultKind.DELIVERY_LOST in seconds:
            send.state = SendState.LOST
            self._end(send, 502, "failed to connect to host", 0.0)
            return
        if FaultKind.DELIVERY_DOUBLED in seconds:
            self._send_later(self._new_send(delivery), seconds[FaultKind.DELIVERY_DOUBLED])
        if FaultKind.DELIVERY_REORDERED in seconds:
            send.state = SendState.HELD
            send.later_ones = 1 + self._world.chance.randrange(_MOST_LATER_ONES)
            hook.held.append(send)
            self._world.timers.at(self._world.after(seconds[FaultKind.DELIVERY_REORDERED]), lambda: self._release(send))
            self._world.changed()
        elif FaultKind.DELIVERY_AFTER_COMPLETED in seconds and delivery.job is not None and action != "completed":
            send.state = SendState.HELD
            send.until_job_completed = delivery.job
            hook.held.append(send)
            self._world.timers.at(
                self._world.after(seconds[FaultKind.DELIVERY_AFTER_COMPLETED]), lambda: self._release(send)
            )
            self._world.changed()
        else:
            self._send_later(send, seconds.get(FaultKind.DELIVERY_DELAYED, 0.0))

    def _new_send(self, delivery: Delivery, *, redelivery: bool = False) -> Send:
        send = Send(id=self._world.new_id("delivery"), delivery=delivery, redelivery=redelivery)
        delivery.sends.append(send)
        self._sends[send.id] = send
        return send

    def _send_later(self, send: Send, seconds: float) -> None:
        if seconds > 0:
            send.state = SendState.HELD
            self._world.timers.at(self._world.after(seconds), lambda: self._release(send))
        else:
            self._ready.append(send)
        self._world.changed()

    def _release(self, send: Send) -> None:
        if send.state is SendState.HELD:
            send.state = SendState.READY
            self._ready.append(send)
            self._world.changed()

    def take(self, most: int | None = None) -> "list[Outgoing]":
        """What is to be posted now, in order, at most `most`; each one's end goes to `report`."""
        out: list[Outgoing] = []
        while self._ready and (most is None or len(out) < most):
            send = self._ready.popleft()
            hook = send.delivery.hook
            if not hook.active:
                send.state = SendState.LOST
                continue
            send.state = SendState.SENDING
            send.delivered_at = self._world.now()
            body = request_body(send.delivery)
            out.append(Outgoing(send=send.id, url=hook.url, headers=headers_of(send.delivery, body), body=body))
        return out

    def report(self, send_id: int, status_code: int, status: str, duration: float) -> None:
        """Takes how a send ended: the receiver's status, or 502/504 with a text of our own."""
        send = self._sends[send_id]
        send.state = SendState.DONE
        self._end(send, status_code, status, duration)
        hook = send.delivery.hook
        for held in list(hook.held):
            if held.state is not SendState.HELD:
                hook.held.remove(held)
            elif held.until_job_completed is not None:
                if send.delivery.job == held.until_job_completed and send.delivery.action == "completed":
                    hook.held.remove(held)
                    self._release(held)
            elif held.id < send.id:
                held.later_ones -= 1
                if held.later_ones <= 0:
                    hook.held.remove(held)
                    self._release(held)

    def _end(self, send: Send, status_code: int, status: str, duration: float) -> None:
        send.delivered_at = send.delivered_at or self._world.now()
        hook = send.delivery.hook
        if send.status_code is None:
            insort(hook.over, send, key=_place_in_log)
        send.status_code, send.status, send.duration = status_code, status, duration
        hook.last_code, hook.last_status = status_code, "active" if 200 <= status_code < 300 else "misconfigured"

    def redeliver(self, hook: Hook, send_id: int) -> None:
        """Sends a delivery again with its GUID; raises ApiError 404 when it is unknown or too old."""
        delivery = self.get_send(hook, send_id).delivery
        self._send_later(self._new_send(delivery, redelivery=True), 0.0)

    def get_send(self, hook: Hook, send_id: int) -> Send:
        """One line of the delivery log; raises ApiError 404 when it is unknown or too old."""
        send = self._sends.get(send_id)
        if send is None or send.delivery.hook is not hook or send.delivery.made_at < self._oldest():
            raise not_found()
        return send

    def log_of(self, hook: Hook) -> "list[Send]":
        """The sends of this hook that are over, the newest first, as far back as they are kept."""
        oldest = self._oldest()
        return [send for send in reversed(hook.over) if send.delivery.made_at >= oldest]

    def forget_the_past(self) -> None:
        """Forgets every delivery for the truth, and for the logs those that GitHub does not keep either."""
        oldest = self._oldest()
        self.deliveries.clear()
        for hook in {send.delivery.hook.id: send.delivery.hook for send in self._sends.values()}.values():
            hook.deliveries = [each for each in hook.deliveries if each.made_at >= oldest]
            hook.over = [send for send in hook.over if send.delivery.made_at >= oldest]
        self._sends = {key: send for key, send in self._sends.items() if send.delivery.made_at >= oldest}

    def _oldest(self) -> datetime:
        return self._world.now() - timedelta(seconds=self._world.timings.delivery_kept_s)


def _place_in_log(send: Send) -> tuple[datetime, int]:
    return send.delivered_at or send.delivery.made_at, send.id
