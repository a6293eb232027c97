"""All Apps of the sandbox: registered through control or by a manifest, installed, given tokens."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from andon.sim.sandbox.app_keys import check_public_key, new_key_pair
from andon.sim.sandbox.app_records import App, Installation, Pending
from andon.sim.sandbox.delivery_records import Hook
from andon.sim.sandbox.manifest import checked_manifest
from andon.sim.sandbox.records import Repository
from andon.sim.sandbox.refusals import ApiError, not_found, validation_failed
from andon.sim.sandbox.world import World

_NOT_IN_SLUGS = re.compile(r"[^a-z0-9]+")


class Apps:
    """Registers, installs, finds."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pending: dict[str, Pending] = {}

    def register(
        self,
        *,
        name: str,
        owner: str,
        permissions: Mapping[str, str],
        events: tuple[str, ...],
        public_key: str | None = None,
        hook_url: str | None = None,
        hook_secret: str = "",
        hook_active: bool = True,
        url: str = "",
        description: str = "",
        setup_url: str | None = None,
    ) -> tuple[App, str | None]:
        """Makes an App; the private key comes with it unless `public_key` was given. Raises ApiError 422."""
        world = self._world
        slug = _NOT_IN_SLUGS.sub("-", name.lower()).strip("-")
        if not slug:
            raise validation_failed("Integration", "name", "missing_field")
        if any(app.slug == slug for app in world.apps.values()):
            raise validation_failed("Integration", "name", "already_exists", "Name is already taken")
        if public_key is None:
            pem, public_key = new_key_pair()
        else:
            check_public_key(public_key)
            pem = None
        world.owner_id(owner)
        app = App(
            id=world.new_id("app"),
            slug=slug,
            name=name,
            owner=owner,
            description=description,
            external_url=url or f"{world.base_url}/{slug}",
            client_id=f"Iv23{world.new_token(64)}",
            public_key=public_key,
            permissions={"metadata": "read", **permissions},
            events=events,
            created_at=world.now(),
            setup_url=setup_url,
        )
        if hook_url is not None:
            app.hook = Hook(
                id=world.new_id("hook"),
                scope=f"app:{app.id}",
                target_id=app.id,
                url=hook_url,
                content_type="json",
                secret=hook_secret,
                events=events,
                active=hook_active,
                created_at=world.now(),
                updated_at=world.now(),
            )
        world.apps[app.id] = app
        return app, pem

    def find(self, wanted: str) -> App | None:
        """An App by its id or client id."""
        return next((app for app in self._world.apps.values() if wanted in (str(app.id), app.client_id)), None)

    def by_slug(self, slug: str) -> App:
        """An App by the name in its address; raises ApiError 404."""
        found = next((app for app in self._world.apps.values() if app.slug == slug.lower()), None)
        if found is None:
            raise not_found()
        return found

    def install(
        self,
        app: App,
        account: str,
        *,
        repositories: Sequence[str] | None = None,
        permissions: Mapping[str, str] | None = None,
        suspended: bool = False,
    ) -> Installation:
        """Installs an App at an account, or changes its installation there.

        `repositories`: names of the chosen ones, None for all. `permissions`: what was granted, by
        default all that the App asks for.
        """
        world = self._world
        world.owner_id(account)
        now = world.now()
        chosen = None if repositories is None else frozenset(_key(account, name) for name in repositories)
        granted = dict(app.permissions) if permissions is None else {"metadata": "read", **permissions}
        found = app.installations.get(account.lower())
        if found is None:
            found = Installation(
                id=world.new_id("installation"),
                app=app,
                account=account,
                permissions=granted,
                events=app.events,
                created_at=now,
                updated_at=now,
            )
            app.installations[account.lower()] = found
            world.installations[found.id] = found
        found.permissions = granted
        found.repositories = chosen
        found.updated_at = now
        found.suspended_at = now if suspended else None
        return found

    def uninstall(self, installation: Installation) -> None:
        """Takes an installation away; its tokens open nothing any more."""
        self._world.installations.pop(installation.id, None)
        installation.app.installations.pop(installation.account.lower(), None)

    def installation(self, app: App, installation_id: int) -> Installation:
        """One of this App's installations; raises ApiError 404."""
        found = self._world.installations.get(installation_id)
        if found is None or found.app is not app:
            raise not_found()
        return found

    def installation_at(self, app: App, account: str) -> Installation:
        """The App's installation at an account; raises ApiError 404."""
        found = app.installations.get(account.lower())
        if found is None:
            raise not_found()
        return found

    def installation_on(self, app: App, repository: Repository) -> Installation:
        """The App's installation that sees a repository; raises ApiError 404."""
        found = self.installation_at(app, repository.owner)
        if not found.covers(repository):
            raise not_found()
        return found

    def propose(self, manifest: Any, owner: str) -> str:
        """Takes a manifest; gives the code that makes the App of it, once, within the hour."""
        checked = checked_manifest(manifest)
        code = self._world.new_token(160)
        until = self._world.after(self._world.timings.manifest_code_s)
        self._pending[code] = Pending(manifest=checked, owner=owner, until=until)
        return code

    def convert(self, code: str) -> tuple[App, str, str | None]:
        """Makes the App of a code: itself, its private key, its webhook secret. Raises ApiError 404."""
        pending = self._pending.pop(code, None)
        if pending is None or pending.until <= self._world.now():
            raise not_found()
        manifest = pending.manifest
        hook: Mapping[str, Any] = manifest.get("hook_attributes") or {}
        secret = self._world.new_token(160) if hook else None
        app, pem = self.register(
            name=manifest["name"],
            owner=pending.owner,
            permissions=manifest.get("default_permissions") or {},
            events=tuple(manifest.get("default_events") or ()),
            hook_url=hook.get("url"),
            hook_secret=secret or "",
            hook_active=hook.get("active", True),
            url=manifest["url"],
            description=manifest.get("description") or "",
            setup_url=manifest.get("setup_url"),
        )
        if pem is None:
            raise ApiError(500, "The App was made without a key pair.")
        return app, pem, secret


def _key(account: str, name: str) -> str:
    return (name if "/" in name else f"{account}/{name}").lower()
