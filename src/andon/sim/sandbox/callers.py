"""Who calls: any token, a personal one, an installation's, or an App itself by its JSON web token.

Any token that is not empty is let in and may do everything until tokens or Apps were registered
through control; what is known here (also an installation's token) is always held to its rights.
"""

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from andon.sim.sandbox.app_keys import app_of_jwt, looks_like_jwt
from andon.sim.sandbox.app_records import App, Installation, InstallationToken, PersonalToken
from andon.sim.sandbox.apps import Apps
from andon.sim.sandbox.manifest import LEVELS
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.world import World

_NOT_GRANTED = "The permissions requested are not granted to this installation."
_NOT_ACCESSIBLE = (
    "There is at least one repository that does not exist or is not accessible to the parent installation."
)


class CallerKind(StrEnum):
    ANYONE = "anyone"
    CLASSIC = "classic"
    FINE_GRAINED = "fine_grained"
    INSTALLATION = "installation"
    APP = "app"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """One that is known well enough to be answered; holds no token."""

    key: str
    """Whose rate limits it uses, and its name in the truth: `installation 7`, `user octocat`."""
    kind: CallerKind
    digest: str
    """Of its token: an ETag holds for one token only (contract section 5)."""
    login: str = "octocat"
    scopes: tuple[str, ...] | None = None
    permissions: Mapping[str, str] | None = None
    """None: everything."""
    repositories: frozenset[str] | None = None
    """None: all that its account has."""
    app: App | None = None
    installation: Installation | None = None
    expires: str | None = None


class Callers:
    """Knows tokens and what they may do."""

    def __init__(self, world: World, apps: Apps, accepted_token: str | None) -> None:
        self._world = world
        self._apps = apps
        self._accepted = accepted_token
        self._personal: dict[str, PersonalToken] = {}
        self._installation: dict[str, InstallationToken] = {}
        self.strict = False
        """Set once tokens or Apps were registered through control: unknown tokens are refused."""

    def add_personal(self, token: str, made: PersonalToken) -> None:
        """Makes a token known, or changes it; from now on unknown ones are refused."""
        self._personal[token] = made
        self.strict = True

    def identify(self, token: str) -> Caller:
        """Who comes with this token; raises ApiError 401, or 404 for the JSON web token of no App."""
        world = self._world
        now = world.now()
        if not token:
            raise ApiError(401, "Requires authentication")
        digest = hashlib.sha256(token.encode()).hexdigest()
        if (held := self._installation.get(token)) is not None:
            installation = held.installation
            if held.revoked or held.expires_at <= now or installation.id not in world.installations:
                raise ApiError(401, "Bad credentials")
            return Caller(
                key=f"installation {installation.id}",
                kind=CallerKind.INSTALLATION,
                digest=digest,
                login=f"{installation.app.slug}[bot]",
                permissions=held.permissions,
                repositories=held.repositories,
                app=installation.app,
                installation=installation,
            )
        if (personal := self._personal.get(token)) is not None:
            return self._as_user(personal, digest)
        if looks_like_jwt(token):
            timings = world.timings
            app = app_of_jwt(
                token, self._apps.find, now, life_s=timings.app_jwt_life_s, leeway_s=timings.app_jwt_leeway_s
            )
            return Caller(key=f"app {app.id}", kind=CallerKind.APP, digest=digest, app=app, login=f"{app.slug}[bot]")
        if token != self._accepted and (self._accepted is not None or self.strict):
            raise ApiError(401, "Bad credentials")
        return Caller(key=f"token {digest[:8]}", kind=CallerKind.ANYONE, digest=digest)

    def _as_user(self, personal: PersonalToken, digest: str) -> Caller:
        until = personal.expires_at
        if personal.revoked or (until is not None and until <= self._world.now()):
            raise ApiError(401, "Bad credentials")
        return Caller(
            key=f"user {personal.login}",
            kind=CallerKind.CLASSIC if personal.scopes is not None else CallerKind.FINE_GRAINED,
            digest=digest,
            login=personal.login,
            scopes=personal.scopes,
            permissions=personal.permissions,
            repositories=personal.repositories,
            expires=until.strftime("%Y-%m-%d %H:%M:%S UTC") if until else None,
        )

    def end(self, token: str) -> bool:
        """Ends an installation's token before its time; False when it is none."""
        held = self._installation.get(token)
        if held is None:
            return False
        held.revoked = True
        return True

    def end_all_of(self, installation: Installation) -> int:
        """Ends all tokens of an installation; says how many still were good."""
        ended = 0
        for held in self._installation.values():
            if held.installation is installation and not held.revoked and held.expires_at > self._world.now():
                held.revoked = True
                ended += 1
        return ended

    def mint(
        self,
        installation: Installation,
        *,
        permissions: Mapping[str, str] | None,
        repositories: Sequence[str] | None,
        repository_ids: Sequence[int] | None,
    ) -> tuple[str, InstallationToken]:
        """A token of an installation, narrowed where that was asked for. Raises ApiError 403 or 422."""
        world = self._world
        if installation.suspended_at is not None:
            raise ApiError(403, "This installation has been suspended")
        granted = installation.permissions
        for name, level in (permissions or {}).items():
            if level not in LEVELS or LEVELS[level] > LEVELS.get(granted.get(name, ""), 0):
                raise ApiError(422, _NOT_GRANTED)
        chosen = installation.repositories
        if repositories is not None or repository_ids is not None:
            wanted = {f"{installation.account}/{name}".lower() for name in repositories or ()}
            by_id = {repository.id: repository.key for repository in world.repositories.values()}
            wanted |= {by_id.get(number, "") for number in repository_ids or ()}
            known = {key for key, repository in world.repositories.items() if installation.covers(repository)}
            if not wanted <= known:
                raise ApiError(422, _NOT_ACCESSIBLE)
            chosen = frozenset(wanted)
        made = InstallationToken(
            installation=installation,
            permissions={"metadata": "read", **permissions} if permissions else granted,
            repositories=chosen,
            made_at=world.now(),
            expires_at=world.after(world.timings.installation_token_s),
        )
        # The longer, stateless kind: nobody may assume 40 characters (contract section 5).
        parts = ".".join(world.new_token(bits) for bits in (160, 1024, 512))
        token = f"ghs_{installation.app.id}_{parts}"
        self._installation[token] = made
        return token, made
