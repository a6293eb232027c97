"""Apps, installations and their tokens as GitHub's JSON shows them."""

from typing import Any

from andon.sim.sandbox.app_records import App, Installation, InstallationToken
from andon.sim.sandbox.repository_json import repository_json, stamp, user_json
from andon.sim.sandbox.world import World


def app_json(app: App, world: World, base_url: str) -> dict[str, Any]:
    """An App."""
    return {
        "id": app.id,
        "slug": app.slug,
        "node_id": f"A_sandbox{app.id}",
        "client_id": app.client_id,
        "owner": user_json(app.owner, world.owner_id(app.owner), base_url, kind="Organization"),
        "name": app.name,
        "description": app.description,
        "external_url": app.external_url,
        "html_url": f"{base_url}/apps/{app.slug}",
        "created_at": stamp(app.created_at),
        "updated_at": stamp(app.created_at),
        "permissions": dict(app.permissions),
        "events": list(app.events),
        "installations_count": len(app.installations),
    }


def installation_json(installation: Installation, world: World, base_url: str) -> dict[str, Any]:
    """An installation."""
    app = installation.app
    owner_id = world.owner_id(installation.account)
    url = f"{base_url}/app/installations/{installation.id}"
    return {
        "id": installation.id,
        "account": user_json(installation.account, owner_id, base_url, kind="Organization"),
        "repository_selection": "all" if installation.repositories is None else "selected",
        "access_tokens_url": f"{url}/access_tokens",
        "repositories_url": f"{base_url}/installation/repositories",
        "html_url": f"{base_url}/organizations/{installation.account}/settings/installations/{installation.id}",
        "app_id": app.id,
        "app_slug": app.slug,
        "target_id": owner_id,
        "target_type": "Organization",
        "permissions": dict(installation.permissions),
        "events": list(installation.events),
        "created_at": stamp(installation.created_at),
        "updated_at": stamp(installation.updated_at),
        "single_file_name": None,
        "has_multiple_single_files": False,
        "single_file_paths": [],
        "suspended_by": None,
        "suspended_at": stamp(installation.suspended_at),
    }


def listed_installation_json(installation: Installation, world: World, base_url: str) -> dict[str, Any]:
    """An installation in a list, where GitHub's description wants an account to be an enterprise as well."""
    shown = installation_json(installation, world, base_url)
    made = stamp(installation.created_at)
    both = {"name": installation.account, "slug": installation.account, "created_at": made, "updated_at": made}
    return {**shown, "account": {**shown["account"], **both}}


def token_json(token: str, made: InstallationToken, world: World, base_url: str) -> dict[str, Any]:
    """A fresh token of an installation; the only place that shows it."""
    shown: dict[str, Any] = {
        "token": token,
        "expires_at": stamp(made.expires_at),
        "permissions": dict(made.permissions),
        "repository_selection": "all" if made.repositories is None else "selected",
    }
    if made.repositories is not None and made.repositories != made.installation.repositories:
        shown["repositories"] = [
            repository_json(world.repositories[key], base_url) for key in sorted(made.repositories)
        ]
    return shown
