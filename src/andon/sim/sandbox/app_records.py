"""Apps, their installations and tokens, and personal tokens, as the sandbox holds them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from andon.sim.sandbox.delivery_records import Hook
from andon.sim.sandbox.records import Repository


class App(msgspec.Struct, kw_only=True, eq=False):
    id: int
    slug: str
    name: str
    owner: str
    description: str
    external_url: str
    client_id: str
    public_key: str
    """PEM; the private one is given to whoever registered the App and not kept."""
    permissions: Mapping[str, str]
    events: tuple[str, ...]
    created_at: datetime
    setup_url: str | None = None
    hook: Hook | None = None
    installations: "dict[str, Installation]" = {}
    """By account, in lower case."""

    def __repr__(self) -> str:
        return f"<app {self.slug}>"


class Installation(msgspec.Struct, kw_only=True, eq=False):
    id: int
    app: App
    account: str
    permissions: Mapping[str, str]
    events: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    repositories: frozenset[str] | None = None
    """Keys of the chosen repositories; None: all of the account."""
    suspended_at: datetime | None = None

    def covers(self, repository: Repository) -> bool:
        """Whether it may see this repository."""
        if repository.owner_key != self.account.lower():
            return False
        return self.repositories is None or repository.key in self.repositories

    def __repr__(self) -> str:
        return f"<installation {self.id} of {self.app.slug} at {self.account}>"


class PersonalToken(msgspec.Struct, kw_only=True, eq=False):
    """A token of a user: with `scopes` a classic one, with `permissions` a fine-grained one."""

    login: str
    scopes: tuple[str, ...] | None
    permissions: Mapping[str, str] | None
    repositories: frozenset[str] | None
    expires_at: datetime | None
    revoked: bool = False


class InstallationToken(msgspec.Struct, kw_only=True, eq=False):
    installation: Installation
    permissions: Mapping[str, str]
    repositories: frozenset[str] | None
    made_at: datetime
    expires_at: datetime
    revoked: bool = False


class Pending(msgspec.Struct, kw_only=True, eq=False):
    """A manifest that waits for its code to be exchanged."""

    manifest: Mapping[str, Any]
    owner: str
    until: datetime
