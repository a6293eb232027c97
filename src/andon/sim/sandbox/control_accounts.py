"""Control calls about who may do what: Apps, installations, tokens, rate limits, runner groups."""

from typing import Any

import msgspec

from andon.sim.sandbox.app_records import App, PersonalToken
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.manifest import LEVELS
from andon.sim.sandbox.rate_limits import Limits
from andon.sim.sandbox.records import RunnerGroup
from andon.sim.sandbox.refusals import ApiError


class WebhookSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an App's deliveries go."""

    url: str
    secret: str = ""
    active: bool = True


class AppSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_sandbox/apps`. Without `public_key` a key pair is made and the private one answered, once."""

    name: str
    owner: str
    permissions: dict[str, str] = {}
    events: tuple[str, ...] = ()
    public_key: str | None = None
    webhook: WebhookSpec | None = None


class InstallationSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_sandbox/installations`: installs an App at an account, or changes what it may do there."""

    app: int | str
    """Id or slug."""
    account: str
    repositories: tuple[str, ...] | None = None
    """Null for all of the account."""
    permissions: dict[str, str] | None = None
    """Null: all that the App asks for."""
    suspended: bool = False
    removed: bool = False


class TokenSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_sandbox/tokens`: a classic token with `scopes`, or a fine-grained one with `permissions`."""

    token: str
    login: str = "octocat"
    scopes: tuple[str, ...] | None = None
    permissions: dict[str, str] | None = None
    repositories: tuple[str, ...] | None = None
    expires_in_s: float | None = None
    revoked: bool = False


class EndSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_sandbox/tokens/end`: all tokens of an installation stop to work now."""

    installation: int


class LimitsSpec(Limits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_sandbox/limits`: for one `caller` (`installation 7`, `user octocat`) or for all."""

    caller: str | None = None


class GroupSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_sandbox/runner_groups`."""

    org: str
    name: str
    visibility: str = "all"
    allows_public_repositories: bool = False


class VersionSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_sandbox/runner_versions`: when a version of the runner ends, RFC 3339 or null."""

    version: str
    runtime_deprecates_at: str | None = None
    registration_deprecates_at: str | None = None


def make_app(sandbox: SandboxGitHub, spec: AppSpec) -> tuple[int, Any]:
    """Registers an App; unknown tokens are refused from now on."""
    _check_levels(spec.permissions)
    hook = spec.webhook
    app, pem = sandbox.apps.register(
        name=spec.name,
        owner=spec.owner,
        permissions=spec.permissions,
        events=spec.events,
        public_key=spec.public_key,
        hook_url=hook.url if hook else None,
        hook_secret=hook.secret if hook else "",
        hook_active=hook.active if hook else True,
    )
    sandbox.callers.strict = True
    return 201, {"id": app.id, "slug": app.slug, "client_id": app.client_id, "pem": pem}


def install(sandbox: SandboxGitHub, spec: InstallationSpec) -> tuple[int, Any]:
    """Installs an App, or changes or removes its installation."""
    app = _app(sandbox, spec.app)
    _check_levels(spec.permissions or {})
    if spec.removed:
        sandbox.apps.uninstall(sandbox.apps.installation_at(app, spec.account))
        return 200, {"removed": True}
    made = sandbox.apps.install(
        app, spec.account, repositories=spec.repositories, permissions=spec.permissions, suspended=spec.suspended
    )
    return 201, {"id": made.id, "account": made.account, "permissions": dict(made.permissions)}


def make_token(sandbox: SandboxGitHub, spec: TokenSpec) -> tuple[int, Any]:
    """Makes a personal token known; unknown tokens are refused from now on."""
    if not spec.token or (spec.scopes is None) == (spec.permissions is None):
        raise ApiError(422, 'Give "token", and either "scopes" (classic) or "permissions" (fine-grained).')
    _check_levels(spec.permissions or {})
    world = sandbox.world
    made = PersonalToken(
        login=spec.login,
        scopes=spec.scopes,
        permissions=None if spec.permissions is None else {"metadata": "read", **spec.permissions},
        repositories=None if spec.repositories is None else frozenset(name.lower() for name in spec.repositories),
        expires_at=None if spec.expires_in_s is None else world.after(spec.expires_in_s),
        revoked=spec.revoked,
    )
    sandbox.callers.add_personal(spec.token, made)
    return 201, {"login": spec.login, "expires_at": made.expires_at.isoformat() if made.expires_at else None}


def end_tokens(sandbox: SandboxGitHub, spec: EndSpec) -> tuple[int, Any]:
    """Ends the tokens of an installation before their time."""
    installation = sandbox.world.installations.get(spec.installation)
    if installation is None:
        raise ApiError(404, f"There is no installation {spec.installation}. Take an id that was answered.")
    return 200, {"ended": sandbox.callers.end_all_of(installation)}


def set_limits(sandbox: SandboxGitHub, spec: LimitsSpec) -> tuple[int, Any]:
    """Sets the limits of a caller or of all; what is left out has GitHub's figure."""
    if min(spec.core, spec.graphql, spec.actions_runner_registration, spec.concurrent) < 1:
        raise ApiError(422, "A limit is below 1. Give each limit 1 or more.")
    if spec.jit_resource not in ("core", "actions_runner_registration"):
        raise ApiError(422, f'"jit_resource" is {spec.jit_resource!r}. Give core or actions_runner_registration.')
    values = {name: getattr(spec, name) for name in Limits.__struct_fields__}
    limits = Limits(**values)
    if spec.caller is None:
        sandbox.limits.limits = limits
    else:
        sandbox.limits.own[spec.caller] = limits
    return 200, {"caller": spec.caller, **values}


def make_group(sandbox: SandboxGitHub, spec: GroupSpec) -> tuple[int, Any]:
    """Makes a runner group of an organisation."""
    if spec.visibility not in ("all", "selected", "private"):
        raise ApiError(422, f'"visibility" is {spec.visibility!r}. Give all, selected or private.')
    world = sandbox.world
    world.owner_id(spec.org)
    group = RunnerGroup(
        id=world.new_id("group"),
        name=spec.name,
        owner=spec.org.lower(),
        visibility=spec.visibility,
        allows_public=spec.allows_public_repositories,
    )
    world.runner_groups[group.id] = group
    return 201, {"id": group.id, "name": group.name}


def set_version(sandbox: SandboxGitHub, spec: VersionSpec) -> tuple[int, Any]:
    """Says when a version of the runner ends."""
    sandbox.world.deprecations[spec.version] = (spec.runtime_deprecates_at, spec.registration_deprecates_at)
    return 201, msgspec.to_builtins(spec)


def _app(sandbox: SandboxGitHub, wanted: int | str) -> App:
    found = sandbox.apps.find(str(wanted))
    return found or sandbox.apps.by_slug(str(wanted))


def _check_levels(permissions: dict[str, str]) -> None:
    for name, level in permissions.items():
        if level not in LEVELS:
            raise ApiError(422, f'The permission "{name}" is {level!r}. Give read, write or admin.')
