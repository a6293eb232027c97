"""GitHub's objects around Apps, installations and the quota (contract sections 3 to 5)."""

from datetime import datetime

import msgspec

from andon.github.payloads import Account, Repository


class AppObject(msgspec.Struct, frozen=True, kw_only=True):
    """The App as `GET /app` shows it, with what it may do and hear."""

    id: int
    name: str
    slug: str | None = None
    owner: Account | None = None
    permissions: dict[str, str] = {}
    events: tuple[str, ...] = ()
    html_url: str | None = None
    installations_count: int | None = None


class InstallationObject(msgspec.Struct, frozen=True, kw_only=True):
    """An App's installation at one account."""

    id: int
    app_id: int | None = None
    account: Account | None = None
    permissions: dict[str, str] = {}
    events: tuple[str, ...] = ()
    repository_selection: str | None = None
    """"all" or "selected"."""
    suspended_at: datetime | None = None


class InstallationToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token of an installation, good for an hour; a secret of any length."""

    token: str
    expires_at: datetime
    permissions: dict[str, str] = {}
    repository_selection: str | None = None

    def __repr__(self) -> str:
        return f"InstallationToken(expires_at={self.expires_at.isoformat()})"


class InstallationRepositories(msgspec.Struct, frozen=True, kw_only=True):
    total_count: int
    repositories: tuple[Repository, ...]


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket. `reset` is GitHub's time in seconds since 1970."""

    limit: int
    remaining: int
    reset: int
    used: int | None = None


class RateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The quota by resource: core, graphql, actions_runner_registration ..."""

    resources: dict[str, Quota]


class MadeApp(msgspec.Struct, frozen=True, kw_only=True):
    """What a manifest's code is turned into: a new App with its secrets, shown this once."""

    id: int
    name: str
    pem: str
    slug: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    webhook_secret: str | None = None
    html_url: str | None = None
    owner: Account | None = None

    def __repr__(self) -> str:
        return f"MadeApp(id={self.id}, name={self.name!r})"


class AppHookConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where the App's own webhook sends to."""

    url: str | None = None
    content_type: str | None = None
    insecure_ssl: str | int | None = None
    secret: str | None = None
    """Asterisks where there is one; it never comes back itself."""
