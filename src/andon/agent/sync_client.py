"""The sync with the control plane: level-triggered, one held request at a time (interfaces.md 5).

What is sent is computed afresh each time from what the slots are, and repeated until an answer
acknowledges it; a lost request or answer costs time, never a fact. While the control plane is away
nothing here is ended or deleted (R86).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

import msgspec

from andon.agent.backoff import Backoff
from andon.agent.timing import Timing
from andon.model.disk import Deletion, DiskReport
from andon.model.wire import SEQ_HEADER, EndReport, LeaseReport, SlotReport, SyncAnswer, SyncRequest
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.http_client import Answer, HttpClient, Unreachable
from andon.runtime.logging import Logger
from andon.runtime.loop import Nudge, wait_for_nudge

# What to do, where the control plane does not say it itself.
_REFUSED = {
    401: "Enrol this host again with `andon host add`.",
    403: "Enrol this host again with `andon host add`.",
    409: "Stop the other agent of this host's name, or give this one another [agent] name.",
    426: "Install the version of Andon that the control plane has.",
}
_LARGEST_SEQ = 2**63 - 1
"""What the control plane's database can keep."""


class TokenRefused(Refused):
    """The control plane does not take this host's token, and nothing runs here."""


class Slots(Protocol):
    """What the sync carries, and who acts on its answers."""

    changed: Nudge

    def slots(self) -> tuple[SlotReport, ...]: ...
    def ended(self) -> tuple[EndReport, ...]: ...
    def acknowledge(self, ends: tuple[EndReport, ...]) -> None: ...
    def apply(self, answer: SyncAnswer) -> None: ...


class Leases(Protocol):
    """The workspaces of this host, and who hears what became of their runs. News of them nudges the slots'
    `changed`."""

    def reports(self) -> tuple[LeaseReport, ...]: ...
    def hear(self, answer: SyncAnswer) -> None: ...


Disks = Callable[[], tuple[DiskReport, ...]]
"""What the guard tells of this host's filesystems. News of them nudges the slots' `changed`, too."""


class Deletions(Protocol):
    """What was deleted on this host, as far as the control plane has not acknowledged it."""

    def unheard(self) -> tuple[Deletion, ...]: ...
    def acknowledge(self, deletions: tuple[Deletion, ...]) -> None: ...


class NoDeletions:
    """A host that deletes nothing."""

    def unheard(self) -> tuple[Deletion, ...]:
        """None."""
        return ()

    def acknowledge(self, deletions: tuple[Deletion, ...]) -> None:
        """Nothing to do."""


class NoLeases:
    """A host without workspaces."""

    def reports(self) -> tuple[LeaseReport, ...]:
        """None."""
        return ()

    def hear(self, answer: SyncAnswer) -> None:
        """Nothing to hear."""


class _Told(msgspec.Struct, kw_only=True):
    """The level-triggered sections as the control plane last acknowledged them; None: it must hear them.

    A report that got no answer may have been read all the same: until the next one is acknowledged,
    nobody here knows what the control plane believes.
    """

    slots: tuple[SlotReport, ...] | None = None
    leases: tuple[LeaseReport, ...] | None = None
    disk: tuple[DiskReport, ...] | None = None


class SyncClient:
    """Keeps the control plane informed and obeys its answers."""

    def __init__(
        self,
        http: HttpClient,
        slots: Slots,
        *,
        host: str,
        boot_id: str,
        version: str,
        clock: Clock,
        timing: Timing,
        backoff: Backoff,
        log: Logger,
        heard: Callable[[Mapping[str, Any]], None] = lambda policy: None,
        may_leave: Callable[[], bool] = lambda: False,
        leases: Leases | None = None,
        disks: Disks = tuple,
        deletions: Deletions | None = None,
        look_again: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._look_again = look_again
        self._heard, self._may_leave = heard, may_leave
        self._leases, self._disks = leases or NoLeases(), disks
        self._deletions = deletions or NoDeletions()
        self._http, self._slots = http, slots
        self._host, self._boot_id, self._version = host, boot_id, version
        self._clock, self._timing, self._backoff, self._log = clock, timing, backoff, log
        self._seq = int(clock.now().timestamp() * 1e9)
        self._told = _Told()
        self._last: SyncAnswer | None = None
        self._trouble: str | None = None
        self.last_answer_at: datetime | None = None

    @property
    def trouble(self) -> str | None:
        """Why the control plane does not serve us at present; None when it does."""
        return self._trouble

    async def run(self) -> None:
        """Runs until cancelled.

        Raises TokenRefused when the first answer of all refuses the token and it `may_leave`: an
        agent that served before, or has runners, waits for the token to be good again.
        """
        while True:
            seen = self._slots.changed.version
            began = self._clock.monotonic()
            if self._look_again is not None and self._has_news_of_jobs():
                # How much room there is when a job ends is told with its end, not after it.
                await self._look_again()
            request = self._request()
            try:
                answer = await self._ask(request, seen)
                if answer is None:
                    continue
                idle = self._take(request, answer)
            except (Unreachable, msgspec.MsgspecError, OSError) as error:
                self._say(str(error))
                await self._clock.sleep(self._backoff.pause())
                continue
            if answer.status in _REFUSED:
                await self._clock.sleep(self._timing.refused_retry)
            elif answer.status not in (200, 204):
                await self._clock.sleep(self._backoff.pause())
            elif answer.status == 204:
                # Not read. Whatever there is to say, it is not said in circles.
                await self._clock.sleep(began + self._timing.breath - self._clock.monotonic())
            elif idle and self._clock.monotonic() - began < self._timing.breath:
                # It neither held us nor said anything new: do not ask in circles.
                await wait_for_nudge(self._slots.changed, seen, self._clock, self._timing.breath)

    def _request(self) -> SyncRequest:
        self._seq += 1
        slots, leases, disk = self._slots.slots(), self._leases.reports(), self._disks()
        return SyncRequest(
            host=self._host,
            boot_id=self._boot_id,
            seq=self._seq,
            agent_version=self._version,
            slots=slots if slots != self._told.slots else None,
            ended=self._slots.ended(),
            leases=leases if leases != self._told.leases else None,
            deletions=self._deletions.unheard(),
            disk=disk if disk != self._told.disk else None,
            clock=self._clock.now(),
        )

    def _has_news_of_jobs(self) -> bool:
        known = self._slots.slots() == self._told.slots and self._leases.reports() == self._told.leases
        return not known or bool(self._slots.ended())

    def _has_news(self, request: SyncRequest) -> bool:
        slots = request.slots if request.slots is not None else self._told.slots
        leases = request.leases if request.leases is not None else self._told.leases
        changed = self._slots.slots() != slots or self._slots.ended() != request.ended
        changed = changed or self._deletions.unheard() != request.deletions
        disk = request.disk if request.disk is not None else self._told.disk
        return changed or self._leases.reports() != leases or self._disks() != disk

    async def _ask(self, request: SyncRequest, seen: int) -> Answer | None:
        """The answer; None when a local change must be said first."""
        if request.slots is not None:
            self._told.slots = None
        if request.leases is not None:
            self._told.leases = None
        if request.disk is not None:
            self._told.disk = None
        asking = asyncio.ensure_future(
            self._http.request("POST", "/agent/v1/sync", body=encode_sync(request), timeout=self._timing.answer)
        )
        changing = asyncio.ensure_future(self._news(request, seen))
        try:
            await asyncio.wait({asking, changing}, return_when=asyncio.FIRST_COMPLETED)
            return asking.result() if asking.done() else None
        finally:
            asking.cancel()
            changing.cancel()
            await asyncio.gather(asking, changing, return_exceptions=True)

    async def _news(self, request: SyncRequest, seen: int) -> None:
        await self._clock.sleep(self._timing.settle)
        while not self._has_news(request):
            await self._slots.changed.wait_beyond(seen)
            seen = self._slots.changed.version

    def _take(self, request: SyncRequest, answer: Answer) -> bool:
        """Acts on an answer; says whether neither side had anything new."""
        if answer.status == 204:
            self._go_on_above(answer)
            return False
        if answer.status != 200:
            message, hint = answer.error_parts()
            advice = hint or _REFUSED.get(answer.status)
            sentence = f"{message} {advice}" if advice else message
            if answer.status in (401, 403) and self.last_answer_at is None and self._may_leave():
                raise TokenRefused(f"{self._http.base_url}: {sentence}")
            self._say(sentence, status=answer.status)
            return False
        wanted = msgspec.json.decode(answer.body, type=SyncAnswer)
        self._backoff.reset()
        self._well()
        if wanted.ack >= request.seq:
            if request.slots is not None:
                self._told.slots = request.slots
            if request.leases is not None:
                self._told.leases = request.leases
            if request.disk is not None:
                self._told.disk = request.disk
            self._slots.acknowledge(request.ended)
            self._deletions.acknowledge(request.deletions)
        if wanted.resync:
            self._told = _Told()
        self._heard(wanted.policy)
        self._leases.hear(wanted)
        self._slots.apply(wanted)
        told = msgspec.structs.replace(wanted, ack=0)
        same, self._last = told == self._last, told
        states = (request.slots, request.leases, request.disk)
        silent = all(state is None for state in states) and not request.ended and not request.deletions
        return (silent and same) or wanted.ack < request.seq

    def _go_on_above(self, answer: Answer) -> None:
        """The clock was set back since an agent of this boot reported: its numbers are ahead of ours."""
        newest = answer.headers.get(SEQ_HEADER, "")
        if newest.isascii() and newest.isdigit() and self._seq < int(newest) < _LARGEST_SEQ:
            self._log.warning("sync.behind", seq=self._seq, newest=int(newest), reason="this host's clock was set back")
            self._seq = int(newest)

    def _say(self, trouble: str, **facts: object) -> None:
        """Once for each trouble, not once for each try."""
        if trouble != self._trouble:
            self._trouble = trouble
            self._log.warning("sync.refused" if facts else "sync.away", reason=trouble, **facts)

    def _well(self) -> None:
        self.last_answer_at = self._clock.now()
        if self._trouble is not None:
            self._log.info("sync.back", after=self._trouble)
            self._trouble = None


def encode_sync(request: SyncRequest) -> bytes:
    """The body of a sync: a section that did not change is left out, an empty one is empty."""
    fields: dict[str, object] = msgspec.to_builtins(request)
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
