"""The way to GitHub: carries one call out, within the budget, and sorts the answer.

One of the two files that know the HTTP library (the other is `runtime/http_client.py`). Nothing of
the library comes out of it, and nothing is raised: an answer, or a Failed.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import httpx2
import msgspec

from andon import __version__
from andon.github.budget import Budget, Moment
from andon.github.budget_view import without_token
from andon.github.call import Call, Sink
from andon.github.clock_skew import ClockSkew, Skew
from andon.github.credentials import Anonymous, Credentials, FixedToken
from andon.github.effects import EFFECTS
from andon.github.etags import Etags, KeptKey, is_whole
from andon.github.grant import Grant
from andon.github.graphql_outcomes import classify_graphql
from andon.github.health import Health
from andon.github.outcomes import Failed, FailureClass, Got, classify, http_date
from andon.github.redirects import MOST, STATUSES, Hop, graphql_url, next_hop
from andon.model.budget import NO_TOKEN, BudgetView
from andon.runtime.clock import Clock
from andon.runtime.http_client import past_proxies
from andon.runtime.redaction import HIDDEN

__all__ = ["Anonymous", "Credentials", "FixedToken", "Transport"]

API_VERSION = "2022-11-28"
TIMEOUT_S = 15.0
"""For each step of a request: connecting, sending, the next piece of the answer."""
WHOLE_S = 60.0
"""For a request and its answer together; a log is read for as long as pieces come."""
AT_ONCE = 90
"""Requests under way with one credential; GitHub allows 100 (contract section 5)."""
BUDGET_PERCENT = 80.0


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


_CUT_OFF = Failed(kind=FailureClass.RETRY_LATER, status=None, message="cut off")


class _Errand(msgspec.Struct, frozen=True, kw_only=True):
    """A call on its way: with which token, on whose budget, and whether it is the last try."""

    call: Call
    grant: Grant
    budget: Budget
    sink: Sink | None
    last: bool


class Transport:
    """Requests with our headers; counts them by endpoint and status."""

    def __init__(
        self,
        api_url: str,
        credentials: Credentials,
        clock: Clock,
        *,
        count: Callable[[str, str], None] = lambda endpoint, status: None,
        http_transport: Any = None,
        budget_percent: float = BUDGET_PERCENT,
    ) -> None:
        self._api_url = api_url.rstrip("/")
        self._credentials = credentials
        self._clock = clock
        self._count = count
        self._percent = budget_percent
        self._budgets: dict[str, Budget] = {}
        self._rooms: dict[str, asyncio.Semaphore] = {}
        self._accounts: dict[str | None, str] = {}
        """By owner, the account that served it last: its pauses hold before a token is even asked for."""
        self._unserved: dict[str, Failed] = {}
        """Owners for whom there is no token: the App is not installed, or suspended."""
        self._etags = Etags()
        self._skew = ClockSkew()
        self.health = Health()
        self._asked_to_wait: Callable[[], None] = lambda: None
        self._client = httpx2.AsyncClient(
            timeout=TIMEOUT_S,
            transport=http_transport,
            limits=httpx2.Limits(max_connections=4 * AT_ONCE, max_keepalive_connections=20),
            headers={"user-agent": f"andon/{__version__}"},
            mounts=past_proxies(self._api_url),
        )

    async def send(self, call: Call, *, sink: Sink | None = None) -> Got | Failed:
        """Carries a call out. A 401 is answered once by a new token, where one can be had.

        With `sink` the body is given to it in pieces and is empty in the answer.
        """
        outcome, again = await self._once(call, sink)
        if again:
            outcome, _ = await self._once(call, sink, last=True)
        return outcome

    def budgets(self) -> tuple[BudgetView, ...]:
        """One line for each credential and bucket that was used, and each owner who has no credential (R8)."""
        now = self._moment()
        used = tuple(view for budget in self._budgets.values() for view in budget.views(now))
        return used + tuple(without_token(owner, failed) for owner, failed in sorted(self._unserved.items()))

    def restore(self, views: Iterable[BudgetView]) -> None:
        """Takes over the budgets that an earlier process knew, so that a restart breaks no pause (I12)."""
        now = self._moment()
        for view in views:
            if view.resource == NO_TOKEN:
                continue
            self._budget(view.account).restore(view, now)
            self._accounts |= dict.fromkeys(view.owners, view.account)

    def on_pause(self, tell: Callable[[], None]) -> None:
        """From now on `tell` is called whenever GitHub asked for a pause, once `budgets` knows of it."""
        self._asked_to_wait = tell

    def clock_skew(self) -> Skew | None:
        """How far our clock is from GitHub's; None before its first answer."""
        return self._skew.latest

    def github_now(self) -> datetime:
        """GitHub's time, as far as its answers have told."""
        return self._skew.theirs(self._clock.now())

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def _once(self, call: Call, sink: Sink | None, *, last: bool = False) -> tuple[Got | Failed, bool]:
        """One try; also says whether another one, with a new token, is worth it."""
        account = self._accounts.get(call.owner)
        if account is not None and (blocked := self._budget(account).blocked(self._moment())):
            return blocked, False
        grant = await self._credentials.token_for(call.owner, self)
        if isinstance(grant, Failed):
            if call.owner is not None and grant.kind is FailureClass.UNAUTHORISED:
                self._unserved[call.owner] = grant
            return grant, False
        self._accounts[call.owner] = grant.account
        budget = self._budget(grant.account)
        if call.owner is not None:
            self._unserved.pop(call.owner, None)
            budget.owners.add(call.owner)
        async with self._rooms.setdefault(grant.account, asyncio.Semaphore(AT_ONCE)):
            return await self._follow(_Errand(call=call, grant=grant, budget=budget, sink=sink, last=last))

    async def _follow(self, errand: _Errand) -> tuple[Got | Failed, bool]:
        """The request, and where redirects lead it."""
        call = errand.call
        hop = Hop(url=graphql_url(self._api_url) if call.graphql else self._api_url + call.path, elsewhere=False)
        query: dict[str, str] | None = call.query or None
        for _ in range(MOST + 1):
            if hop.elsewhere:
                answer = await self._exchange(call, hop.url, sink=errand.sink)
                outcome: Got | Failed = answer if isinstance(answer, Failed) else _from_elsewhere(answer)
                again = False
            else:
                answer, outcome, again = await self._ask_github(errand, hop.url, query)
            if isinstance(answer, Failed) or answer.status not in STATUSES:
                return outcome, again
            location = answer.headers.get("location")
            to = next_hop(self._api_url, call.method, hop.url, location, may_leave=call.elsewhere)
            if isinstance(to, str):
                return Failed(kind=FailureClass.MALFORMED, status=answer.status, message=to), False
            hop, query = to, None
        return Failed(kind=FailureClass.MALFORMED, status=None, message=f"more than {MOST} redirects"), False

    async def _ask_github(
        self, errand: _Errand, url: str, query: dict[str, str] | None
    ) -> tuple[_Answer | Failed, Got | Failed, bool]:
        """One request to GitHub itself: let through by the budget, and what it says kept there."""
        call, grant, budget = errand.call, errand.grant, errand.budget
        key = KeptKey(account=grant.account, generation=grant.generation, url=url, query=tuple((query or {}).items()))
        kept = self._etags.find(key) if call.conditional else None
        ticket = budget.admit(call, self._moment())
        if isinstance(ticket, Failed):
            return ticket, ticket, False
        sent = self._clock.now()
        answer: _Answer | Failed = _CUT_OFF
        try:
            answer = await self._exchange(
                call, url, query=query, token=grant.token, etag=kept[0] if kept else None, sink=errand.sink
            )
        finally:
            if not isinstance(answer, _Answer):
                # Also when we were cancelled: the call may have been counted.
                budget.unanswered(ticket)
        if not isinstance(answer, _Answer):
            self.health.came(answer, self._clock.now())
            return answer, answer, False
        now = self._moment()
        if (theirs := http_date(answer.headers.get("date"))) is not None:
            self._skew.learn(theirs, sent, now.at)
        if kept is not None and answer.status == 304:
            headers = {**kept[1].headers, **answer.headers}
            outcome: Got | Failed = Got(body=kept[1].body, at=theirs, headers=headers, not_modified=True)
        else:
            outcome = classify(answer.status, answer.headers, answer.body, now.at)
            if call.graphql and isinstance(outcome, Got):
                outcome = classify_graphql(outcome, now.at)
        again = False
        if isinstance(outcome, Failed) and EFFECTS[outcome.kind].drops_token:
            again = self._credentials.rejected(grant) and not errand.last
        self.health.came(outcome, now.at, answer.headers)
        budget.answered(ticket, answer.headers, outcome, now, counted=answer.status != 304, final=not again)
        if isinstance(outcome, Failed) and outcome.until is not None:
            self._asked_to_wait()
        if call.conditional and answer.status == 200 and isinstance(outcome, Got) and is_whole(outcome.body):
            self._etags.keep(key, outcome)
        return answer, outcome, again

    async def _exchange(
        self,
        call: Call,
        url: str,
        *,
        query: dict[str, str] | None = None,
        token: str = "",
        etag: str | None = None,
        sink: Sink | None,
    ) -> _Answer | Failed:
        """Bytes there and back; RETRY_LATER when no whole answer came, MALFORMED when it is too large."""
        headers = {"accept": "application/vnd.github+json", "x-github-api-version": API_VERSION}
        if token:
            headers["authorization"] = f"Bearer {token}"
        if etag is not None:
            headers["if-none-match"] = etag
        if call.body is not None:
            headers["content-type"] = "application/json"
        try:
            async with (
                asyncio.timeout(None if sink else WHOLE_S),
                self._client.stream(call.method, url, params=query, content=call.body, headers=headers) as response,
            ):
                body = await _read(response, call.max_bytes, sink)
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError) as error:
            self._count(call.endpoint, "none")
            return Failed(kind=FailureClass.RETRY_LATER, status=None, message=f"no answer ({_say(error, token)})")
        self._count(call.endpoint, str(response.status_code))
        if body is None:
            message = f"an answer of more than {call.max_bytes} bytes"
            return Failed(kind=FailureClass.MALFORMED, status=response.status_code, message=message)
        return _Answer(status=response.status_code, headers=dict(response.headers), body=body)

    def _budget(self, account: str) -> Budget:
        if account not in self._budgets:
            self._budgets[account] = Budget(account, self._percent)
        return self._budgets[account]

    def _moment(self) -> Moment:
        return Moment(at=self._clock.now(), monotonic=self._clock.monotonic())


async def _read(response: httpx2.Response, most: int, sink: Sink | None) -> bytes | None:
    """The body; None when it is larger than `most`. Only what succeeded goes to the sink."""
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > most:
            return None
        if sink is not None and response.is_success:
            sink(part)
        else:
            parts.append(part)
    return b"".join(parts)


def _from_elsewhere(answer: _Answer) -> Got | Failed:
    """What the server that keeps logs says; its refusals are not GitHub's: a link lives for a minute."""
    if 200 <= answer.status < 300:
        return Got(body=answer.body, at=http_date(answer.headers.get("date")), headers=answer.headers)
    kind = FailureClass.GONE if answer.status in (404, 410) else FailureClass.RETRY_LATER
    return Failed(kind=kind, status=answer.status, message=f"the linked server answered {answer.status}")


def _say(error: Exception, token: str) -> str:
    """The error's name and text, in which a library may have repeated what we sent."""
    name = type(error).__name__
    if isinstance(error, httpx2.LocalProtocolError):
        return name
    text = str(error)
    return f"{name}: {text.replace(token, HIDDEN) if token else text}"
