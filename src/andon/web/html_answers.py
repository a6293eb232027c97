"""Answers as pages: templates that escape everything, and the headers that fence them in.

Every string that a template prints goes through `shown` first (design.md section 8: what is
fetched is hostile text), then through Jinja's escaping.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from andon import __version__
from andon.rules.cache_health import is_thrashing
from andon.rules.cache_incidents import rate_words
from andon.rules.size_words import size
from andon.store.database import Unavailable
from andon.web.answers import Refusal, database_away
from andon.web.auth import require_reader
from andon.web.control_plane import control_plane
from andon.web.durations import duration
from andon.web.shown_text import log_text, shown
from andon.web.static_files import static_url

Handler = Callable[[Request], Awaitable[Response]]

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def _finalize(value: object) -> object:
    # Exactly str: what a macro made is markup already.
    return shown(value) if type(value) is str else value


def _clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%H:%M:%S")


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _epoch(at: datetime) -> str:
    return f"{at.timestamp():.3f}"


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown: dict[str, Callable[..., object]] = {
        "duration": duration,
        "size": size,
        "clock": _clock,
        "stamp": _stamp,
        "epoch": _epoch,
        "log_text": log_text,
        "hits": rate_words,
        "thrashes": is_thrashing,
    }
    made.filters |= shown
    return made


_TEMPLATES = _environment()


def html(request: Request, template: str, *, status: int = 200, now: datetime | None = None, **values: Any) -> Response:
    """The template as a page. `now` is the time that its durations end at."""
    shown_at = now or control_plane(request).clock.now()
    text = _TEMPLATES.get_template(template).render(
        now=shown_at, path=request.url.path, static=static_url, version=__version__, **values
    )
    return Response(text, status, media_type="text/html", headers=HEADERS)


def refusal_page(request: Request, refused: Refusal, *, wanted: str) -> Response:
    """A refusal as a page; one for want of a token asks for it, and goes on to `wanted` with it."""
    status = refused.status
    answer = html(request, "refusal.html", status=status, problem=refused.problem, code=status, wanted=wanted)
    if status in (401, 403):
        # The one form that there is.
        answer.headers["content-security-policy"] = HEADERS["content-security-policy"].replace(
            "form-action 'none'", "form-action 'self'"
        )
    if status == 401:
        answer.headers["www-authenticate"] = "Bearer"
    return answer


def page(handler: Handler) -> Handler:
    """`handler` for readers only, with its refusals as pages too."""

    async def answered(request: Request) -> Response:
        try:
            require_reader(request)
            return await handler(request)
        except Refusal as refused:
            return refusal_page(request, refused, wanted=request.url.path)
        except Unavailable:
            return refusal_page(request, database_away(), wanted=request.url.path)

    return answered
