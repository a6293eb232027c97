"""Asks the running control plane: itself, hosts, pools, jobs without a pool, stored deliveries."""

from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from andon.model.api import DeliveryView, HostView, JobView, PoolView
from andon.rules.doctor_fleet import FleetFacts
from andon.runtime.errors import AndonError
from andon.runtime.http_client import HttpClient, Unreachable

T = TypeVar("T")
_PAGE = 500
_MOST_PAGES = 40
_TIMEOUT_S = 10.0


class CannotRead(AndonError):
    """The control plane answered something that is of no use."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is, and what lets us in."""

    url: str
    token: str | None = None
    ca_file: Path | None = None


class ControlPlaneLook:
    """The questions to one control plane; to be closed."""

    def __init__(self, place: Place) -> None:
        """Raises OSError for a CA file that cannot be used."""
        self._url = place.url
        self._http = HttpClient(place.url, token=place.token, timeout=_TIMEOUT_S, ca_file=place.ca_file)

    async def fleet(self) -> FleetFacts:
        """Everything but deliveries."""
        try:
            ready = await self._http.request("GET", "/readyz")
            health = _object(await self._body("/healthz"))
        except Unreachable as error:
            return FleetFacts(url=self._url, answered=False, said=str(error).rstrip("."))
        except CannotRead as error:
            return FleetFacts(url=self._url, answered=False, said=str(error).rstrip("."))
        facts = FleetFacts(
            url=self._url,
            answered=True,
            version=str(health.get("version")),
            ready=ready.status == 200,
            missing=_missing(ready.body),
        )
        try:
            waiting = [
                *await self._items("/api/v1/jobs", JobView, {"state": "queued"}),
                *await self._items("/api/v1/jobs", JobView, {"state": "pending"}),
            ]
            return msgspec.structs.replace(
                facts,
                hosts=await self._items("/api/v1/hosts", HostView),
                pools=await self._items("/api/v1/pools", PoolView),
                unserved=tuple(job for job in waiting if job.why is not None and job.why.cause == "unserved_label"),
            )
        except (Unreachable, CannotRead) as error:
            return msgspec.structs.replace(facts, readable=False, said=str(error))

    async def deliveries(self, since: datetime) -> dict[str, str]:
        """Our state of each delivery since then, by GUID. Raises Unreachable and CannotRead."""
        query = {"since": since.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return {one.guid: one.state for one in await self._items("/api/v1/deliveries", DeliveryView, query)}

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()

    async def _items(self, path: str, kind: type[T], query: dict[str, str] | None = None) -> tuple[T, ...]:
        found: list[T] = []
        asked = {**(query or {}), "limit": str(_PAGE)}
        for _ in range(_MOST_PAGES):
            page = _object(await self._body(path, asked))
            try:
                found += msgspec.convert(page.get("items"), list[kind])
            except msgspec.ValidationError as error:
                raise CannotRead(f"{self._url}{path} answers something else ({error})") from None
            cursor = page.get("next")
            if not cursor:
                return tuple(found)
            asked["cursor"] = str(cursor)
        return tuple(found)

    async def _body(self, path: str, query: dict[str, str] | None = None) -> bytes:
        answer = await self._http.request("GET", path, query=query)
        if answer.status in (401, 403):
            raise CannotRead(f"{self._url} lets nobody read without a token; name its file with --token-file")
        if answer.status >= 400:
            raise CannotRead(f"{self._url}{path}: {answer.error_text()}")
        return answer.body


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise CannotRead("the answer is no JSON object; is that a control plane?") from None


def _missing(body: bytes) -> str | None:
    try:
        found = _object(body).get("missing")
    except CannotRead:
        return None
    return str(found) if found else None
