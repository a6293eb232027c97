"""Answers that the description does not list for a call, yet GitHub gives: each with its condition and reason.

The description lists the special codes of an operation and leaves out what holds for all of them.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from andon.sim.sandbox.tap import Exchange


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """A status that may be answered to calls that fit."""

    status: tuple[int, ...]
    reason: str
    call: str = ""
    """The end of `METHOD /path/{template}`; empty: any call."""
    fits: Callable[[Exchange], bool] = lambda exchange: True


def _message(exchange: Exchange) -> str:
    try:
        body: Any = msgspec.json.decode(exchange.reply_body)
        return str(body["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _is_limit(exchange: Exchange) -> bool:
    headers = exchange.reply_headers
    named = "rate limit" in _message(exchange).lower() or "abuse" in _message(exchange).lower()
    return named or "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"


def _has_body(exchange: Exchange) -> bool:
    return exchange.method in ("POST", "PUT", "PATCH")


ALLOWANCES: tuple[Allowance, ...] = (
    Allowance(
        status=(304,),
        reason="a conditional request whose ETag still holds (docs: conditional requests)",
        fits=lambda exchange: exchange.method == "GET" and "if-none-match" in exchange.request_headers,
    ),
    Allowance(
        status=(400,),
        reason="a body that is no JSON, or an API version that does not exist (docs: troubleshooting, API versions)",
        fits=lambda exchange: "JSON" in _message(exchange) or "version" in _message(exchange),
    ),
    Allowance(status=(401,), reason="no credentials, or refused ones (docs: authenticating)"),
    Allowance(status=(403, 429), reason="a primary or secondary limit (docs: rate limits)", fits=_is_limit),
    Allowance(
        status=(403,),
        reason="a permission is missing, or the act is not allowed now (docs: troubleshooting; contract section 4)",
        fits=lambda exchange: bool(_message(exchange)),
    ),
    Allowance(status=(404,), reason="what is not there, or must not be seen (docs: troubleshooting)"),
    Allowance(
        status=(422,), reason="a body that GitHub understands and refuses (docs: validation failed)", fits=_has_body
    ),
)


EXTRA_FIELDS: dict[str, str] = {
    "validation error $.status": "every error body carries its status; its schema names it for the other errors only",
}
"""Fields that GitHub sends and does not describe, with the reason: `what place`."""


CORRECTIONS: tuple[tuple[tuple[str, ...], Any, str], ...] = (
    (
        ("operations", "GET /app/installations", "responses", "200"),
        {"type": "array", "items": {"$ref": "#/schemas/installation"}},
        "an old copy of the installation, whose account must be a user and an enterprise at once",
    ),
    (
        ("schemas", "pull-request-simple", "properties", "labels", "items", "properties", "description", "nullable"),
        True,
        "a label without a description is null, as the label's own schema and the whole pull request say",
    ),
    (
        ("operations", "GET /repos/{owner}/{repo}/actions/runs", "parameters", "created", "schema"),
        {"type": "string", "pattern": r"^(>|>=|<|<=)?\d{4}-\d\d-\d\d|^\d{4}-\d\d-\d\d\S*\.\.\d{4}-\d\d-\d\d"},
        "a range in the words of GitHub's search (docs: understanding the search syntax), no single time",
    ),
)
"""Places where the description contradicts itself or the docs: the place, what holds, and why."""


def corrected(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts with the corrections laid over them; raises KeyError when a place is not there any more."""
    for place, value, _ in CORRECTIONS:
        at: Any = facts
        for name in place[:-1]:
            # A parameter is found by its name.
            at = next(each for each in at if each["name"] == name) if isinstance(at, list) else at[name]
        at[place[-1]] = value
    return facts


def allowance(operation: str, exchange: Exchange) -> Allowance | None:
    """What allows this status, if anything does."""
    return next(
        (
            each
            for each in ALLOWANCES
            if exchange.status in each.status and operation.endswith(each.call) and each.fits(exchange)
        ),
        None,
    )
