"""The pages of GitHub that a person sees when an App is made of a manifest, and installed.

Posting the manifest stands for the person who reads the page and presses the button: it answers at
once with the redirect to the manifest's `redirect_url`, with `code` and `state`.
"""

from html import escape
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.refusals import ApiError

_NEW = "/settings/apps/new"
_NEW_AT = "/organizations/{org}/settings/apps/new"
_INSTALL = "/apps/{slug}/installations/new"
_PERSON = "octocat"


def app_page_routes(sandbox: SandboxGitHub) -> list[Route]:
    """The pages: register an App from a manifest, install it at an account."""

    async def new(request: Request) -> Response:
        if request.method == "GET":
            return _page(
                "Register a new App",
                f'<form method="post" action="{escape(str(request.url))}"><label>Manifest '
                '<textarea name="manifest" rows="20" cols="80"></textarea></label>'
                "<button>Create the App</button></form>",
            )
        form = await _form(request)
        try:
            manifest = msgspec.json.decode(form.get("manifest", ""))
            code = sandbox.apps.propose(manifest, request.path_params.get("org", _PERSON))
            redirect_url = str(manifest.get("redirect_url") or "")
        except msgspec.DecodeError:
            return _page("The manifest cannot be read", "<p>It is no JSON.</p>", status=422)
        except ApiError as refusal:
            return _page("The App cannot be made", f"<p>{escape(refusal.message)}</p>", status=refusal.status)
        query = {"code": code}
        if state := request.query_params.get("state"):
            query["state"] = state
        if not redirect_url:
            return _page("The App is almost made", f"<p>Its code: <code>{escape(code)}</code></p>")
        return RedirectResponse(_with_query(redirect_url, query), status_code=302)

    async def install(request: Request) -> Response:
        try:
            app = sandbox.apps.by_slug(request.path_params["slug"])
            if request.method == "GET":
                return _page(
                    f"Install {app.name}",
                    '<form method="post"><label>Account <input name="account"></label> <label>Repositories, with '
                    'blanks between; empty for all <input name="repositories"></label><button>Install</button></form>',
                )
            form = await _form(request)
            account = form.get("account") or app.owner
            chosen = form.get("repositories", "").split()
            made = sandbox.apps.install(app, account, repositories=chosen or None)
        except ApiError as refusal:
            return _page("The App cannot be installed", f"<p>{escape(refusal.message)}</p>", status=refusal.status)
        if app.setup_url:
            query = {"installation_id": str(made.id), "setup_action": "install"}
            return RedirectResponse(_with_query(app.setup_url, query), status_code=302)
        return _page(f"{app.name} is installed", f"<p>Installation {made.id} at {escape(account)}.</p>")

    return [
        Route(_NEW, new, methods=["GET", "POST"]),
        Route(_NEW_AT, new, methods=["GET", "POST"]),
        Route(_INSTALL, install, methods=["GET", "POST"]),
    ]


async def _form(request: Request) -> dict[str, str]:
    """A posted form; a browser sends it percent-encoded."""
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))


def _with_query(url: str, query: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def _page(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    text = f'<!doctype html><html lang="en"><title>{escape(title)}</title><h1>{escape(title)}</h1>{body}</html>'
    return HTMLResponse(text, status_code=status)
