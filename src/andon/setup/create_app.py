"""Makes a GitHub App by GitHub's manifest flow, on a page of this machine that one person can open once.

The page's address holds a secret, and who opens it first gets a cookie that nobody else's browser has:
the page, and the answer that GitHub sends the browser back with, are taken with that cookie only. What goes
to GitHub is another secret (`state`). So neither another user of this machine nor another web page can put
their App in the place of ours, even one who has read the address or `state` off the screen.
"""

import asyncio
import hmac
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from andon.model.config import Config
from andon.rules.github_permissions import wanted_events, wanted_permissions
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.http_client import Answer, HttpClient, Unreachable
from andon.setup.app_files import AppFiles
from andon.setup.app_manifest import make_manifest, new_app_page, web_address
from andon.setup.app_page import made_page, sentence_page, start_page
from andon.web.http_server import listening_socket, serving, url_of

_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
}


_COOKIE = "andon_create_app"


class _Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """What GitHub answers to the code (contract: `POST /app-manifests/{code}/conversions`)."""

    id: int
    slug: str
    html_url: str
    pem: str
    name: str = ""
    webhook_secret: str | None = None


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """The App that was made; its secrets are in files by now."""

    app_id: int
    name: str
    html_url: str
    install_url: str
    lines: str
    """For the configuration."""


class AppCreation:
    """One walk through the flow; `run` gives its end."""

    def __init__(
        self,
        config: Config,
        files: AppFiles,
        *,
        organisation: str | None,
        name: str,
        least: bool,
        new_secret: Callable[[], str],
        say: Callable[[str], None],
    ) -> None:
        self._config, self._files = config, files
        self._organisation, self._name, self._least = organisation, name, least
        self._door, self._state, self._opener = new_secret(), new_secret(), new_secret()
        self._opened = False
        self._new_secret, self._say = new_secret, say
        self._taken = False
        self._url = ""

    async def run(self, *, announce: Callable[[str], None], clock: Clock, timeout_s: float) -> Created:
        """Serves the page until the App is made. `announce` gets the page's address.

        Raises Refused with one sentence: cancelled, out of time, a code that GitHub does not take,
        files that cannot be written.
        """
        self._files.check_free()
        listener = listening_socket("127.0.0.1", 0)
        self._url = url_of(listener)
        try:
            self._manifest()
        except Refused:
            listener.close()
            raise
        self._ended: asyncio.Future[Created] = asyncio.get_running_loop().create_future()
        app = Starlette(
            routes=[
                Route(f"/{self._door}", self._start, methods=["GET"]),
                Route(f"/{self._door}/cancel", self._cancel, methods=["POST"]),
                Route("/created", self._created, methods=["GET"]),
            ]
        )
        late = asyncio.ensure_future(clock.sleep(timeout_s))
        try:
            async with serving(app, listener, before_stop=lambda: None):
                announce(f"{self._url}/{self._door}")
                await asyncio.wait({late, self._ended}, return_when=asyncio.FIRST_COMPLETED)
                if self._taken:
                    # GitHub has made the App: what becomes of its key is said, however long that takes.
                    await asyncio.wait({self._ended})
        finally:
            late.cancel()
            await asyncio.gather(late, return_exceptions=True)
        if not self._ended.done():
            self._ended.cancel()
            raise Refused(
                f"No App was made within {timeout_s / 60:.0f} minutes, and nothing was written. Start again, or give "
                "more time with --minutes."
            )
        return self._ended.result()

    def _manifest(self) -> dict[str, Any]:
        return make_manifest(
            self._config,
            name=self._name,
            redirect_url=f"{self._url}/created",
            organisation=self._organisation,
            least=self._least,
        )

    async def _start(self, request: Request) -> Response:
        if self._opened and not self._is_opener(request):
            sentence = (
                "The page was opened in another browser before, and is that browser's alone. Was that not you, "
                "end this with Ctrl-C and start again."
            )
            self._say(sentence)
            return _html(sentence_page("Opened elsewhere", sentence), 403)
        self._opened = True
        permissions = wanted_permissions(self._config, least=self._least, organisation=self._organisation is not None)
        answer = _html(
            start_page(
                target=new_app_page(self._config.github.api_url, self._organisation, self._state),
                cancel=f"/{self._door}/cancel",
                manifest=self._manifest(),
                permissions=permissions,
                events=wanted_events(self._config, least=self._least),
                owner=self._organisation or "your own account",
            )
        )
        # Lax and not strict: the browser comes back from GitHub's page.
        answer.set_cookie(_COOKIE, self._opener, httponly=True, samesite="lax")
        return answer

    def _is_opener(self, request: Request) -> bool:
        """Whether this is the browser that opened the page first."""
        return hmac.compare_digest(request.cookies.get(_COOKIE, "").encode(), self._opener.encode())

    async def _cancel(self, request: Request) -> Response:
        if not self._is_opener(request):
            return _html(sentence_page("Not used", "The page is another browser's."), 403)
        self._fail("Cancelled on the page: no App was made, and nothing was written.")
        return _html(sentence_page("Cancelled", "Nothing was made. This page can be closed."))

    async def _created(self, request: Request) -> Response:
        state, code = request.query_params.get("state", ""), request.query_params.get("code", "")
        if not hmac.compare_digest(state.encode(), self._state.encode()):
            sentence = "An answer with a wrong state came to the page and was not used; the right one is waited for."
            self._say(sentence)
            return _html(sentence_page("Not used", sentence), 400)
        if not self._is_opener(request):
            sentence = "An answer came from a browser that did not open the page, and was not used."
            self._say(sentence)
            return _html(sentence_page("Not used", sentence), 403)
        if self._taken:
            return _html(sentence_page("Not used", "This answer came before; each is used once."), 409)
        self._taken = True
        try:
            if not code:
                raise Refused("GitHub came back without a code: no App was made, and nothing was written. Start again.")
            made = await self._exchange(code)
        except Refused as error:
            self._fail(str(error))
            return _html(sentence_page("Not made", str(error)), 502)
        except BaseException as error:
            self._fail(
                f"The answer of GitHub could not be dealt with ({type(error).__name__}). Look for the App in GitHub's "
                "settings; delete it there, and start again."
            )
            raise
        if not self._ended.done():
            self._ended.set_result(made)
        return _html(made_page(name=made.name, lines=made.lines, install_url=made.install_url))

    def _fail(self, sentence: str) -> None:
        if not self._ended.done():
            self._ended.set_exception(Refused(sentence))

    async def _exchange(self, code: str) -> Created:
        """The code for the App's key and secret, which go into their files at once."""
        api_url = self._config.github.api_url.rstrip("/")
        http = HttpClient(api_url, timeout=30.0)
        try:
            # Only what a code is made of: it becomes part of a path.
            if not code.replace("-", "").replace("_", "").isalnum() or not code.isascii():
                raise Refused("GitHub came back with a code that is none. Start again.")
            headers = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
            answer = await http.request("POST", f"/app-manifests/{code}/conversions", headers=headers)
        except Unreachable as error:
            raise Refused(
                f"{str(error).rstrip('.')}, so the App's key could not be fetched. "
                "Delete the App in GitHub's settings, and start again."
            ) from None
        finally:
            await http.close()
        found = _conversion(answer)
        self._files.write(key=found.pem, secret=found.webhook_secret or self._new_secret())
        return Created(
            app_id=found.id,
            name=found.name or found.slug,
            html_url=found.html_url,
            install_url=f"{web_address(api_url)}/apps/{found.slug}/installations/new",
            lines=_lines(found.id, self._config, self._files, self._organisation),
        )


def _conversion(answer: Answer) -> _Conversion:
    if answer.status in (404, 422):
        raise Refused(
            "GitHub does not take the code: it is good for one hour and one use. Delete the App in GitHub's settings "
            "if it is there, and start again."
        )
    try:
        if answer.status != 201:
            raise ValueError(f"HTTP status {answer.status}")
        return msgspec.json.decode(answer.body, type=_Conversion)
    except ValueError as error:
        raise Refused(
            f"GitHub did not give the App's key ({error}). Delete the App in GitHub's settings, and start again."
        ) from None


def _lines(app_id: int, config: Config, files: AppFiles, organisation: str | None) -> str:
    lines = ["[github]"]
    if config.github.api_url != "https://api.github.com":
        lines.append(f'api_url = "{config.github.api_url}"')
    if config.github.ingest == "poll":
        lines.append('ingest = "poll"')
    lines += [f"app_id = {app_id}", f'private_key_file = "{config.github.private_key_file or files.key.name}"']
    if config.github.webhook_secret_file != "webhook.secret":
        lines.append(f'webhook_secret_file = "{config.github.webhook_secret_file}"')
    if organisation is not None and not config.owner:
        # What the permissions were chosen for.
        lines += ["[[owner]]", f'login = "{organisation}"', 'runners = "organisation"']
    return "\n".join(lines) + "\n"


def _html(text: str, status: int = 200) -> Response:
    return HTMLResponse(text, status, headers=_HEADERS)
