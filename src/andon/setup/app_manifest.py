"""The manifest that GitHub makes an App from, and the addresses around it."""

from typing import Any
from urllib.parse import quote, urlsplit

from andon.model.config import Config
from andon.rules.github_permissions import wanted_events, wanted_permissions
from andon.rules.listen_address import is_on_this_machine
from andon.runtime.errors import Refused

LONGEST_NAME = 34
"""GitHub takes no longer name for an App."""
_PROJECT = "https://github.com"


def web_address(api_url: str) -> str:
    """Where people reach the GitHub whose API is at `api_url`."""
    parts = urlsplit(api_url)
    if parts.netloc == "api.github.com":
        return "https://github.com"
    # api.NAME.ghe.com has its pages at NAME.ghe.com; a server of one's own has the API at /api/v3.
    netloc = parts.netloc.removeprefix("api.") if parts.netloc.endswith(".ghe.com") else parts.netloc
    return f"{parts.scheme}://{netloc}"


def new_app_page(api_url: str, organisation: str | None, state: str) -> str:
    """GitHub's page that takes the manifest."""
    place = f"/organizations/{quote(organisation, safe='')}" if organisation else ""
    return f"{web_address(api_url)}{place}/settings/apps/new?state={quote(state, safe='')}"


def hook_address(config: Config) -> str | None:
    """Where GitHub shall send webhooks; None when it shall not.

    Raises Refused when the configuration names no address that GitHub could reach.
    """
    if config.github.ingest == "poll":
        return None
    public = config.server.public_url
    if public is None or (is_on_this_machine(public) and not is_on_this_machine(config.github.api_url)):
        given = "names no" if public is None else f'has "{public}" as'
        raise Refused(
            f"The configuration {given} [server] public_url, and GitHub must reach it from outside. "
            'Set it to such an address, or set [github] ingest = "poll", which needs no way in.'
        )
    return f"{public.rstrip('/')}/webhooks/github"


def make_manifest(
    config: Config, *, name: str, redirect_url: str, organisation: str | None, least: bool
) -> dict[str, Any]:
    """The manifest for this fleet, with the fewest permissions that serve it. Raises Refused."""
    if not 0 < len(name) <= LONGEST_NAME:
        raise Refused(f'--name: "{name}" has {len(name)} letters; GitHub takes 1 to {LONGEST_NAME}. Choose another.')
    hook = hook_address(config)
    permissions = wanted_permissions(config, least=least, organisation=organisation is not None)
    manifest: dict[str, Any] = {
        "name": name,
        "url": config.server.public_url or _PROJECT,
        "description": "Keeps the self-hosted runners of this account trustworthy.",
        "public": False,
        "redirect_url": redirect_url,
        "default_permissions": {one.name: one.level for one in permissions},
        "default_events": [event.name for event in wanted_events(config, least=least)],
    }
    if hook is not None:
        manifest["hook_attributes"] = {"url": hook, "active": True}
    return manifest
