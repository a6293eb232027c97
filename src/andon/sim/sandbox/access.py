"""Whether a caller may make a call: by an App's or token's permissions, or by a token's scopes.

What must not be seen is answered 404, what must not be done 403, in GitHub's words.
"""

from collections.abc import Mapping

from andon.sim.sandbox.callers import Caller, CallerKind
from andon.sim.sandbox.manifest import LEVELS
from andon.sim.sandbox.refusals import ApiError, not_found
from andon.sim.sandbox.world import World

_IMPLIED: Mapping[str, tuple[str, ...]] = {
    "public_repo": ("repo",),
    "repo:status": ("repo",),
    "admin:repo_hook": ("repo",),
    "write:repo_hook": ("admin:repo_hook", "repo"),
    "read:repo_hook": ("write:repo_hook", "admin:repo_hook", "repo"),
    "read:org": ("write:org", "admin:org"),
    "write:org": ("admin:org",),
}
"""A scope and those that contain it."""
_PUBLIC = frozenset({"metadata", "actions", "checks", "contents", "issues", "pull_requests"})
"""What everybody may read of a public repository."""
_NOT_FOR = {
    CallerKind.INSTALLATION: "Resource not accessible by integration",
    CallerKind.FINE_GRAINED: "Resource not accessible by personal access token",
}


def check_access(
    world: World, caller: Caller, *, permission: str, scope: str, owner: str | None, repository: str | None
) -> None:
    """Raises ApiError 403 or 404 for a call that is not allowed.

    `permission` is a name and a level (`actions:write`), `scope` a classic scope; empty: none needed.
    `owner` and `repository` are those of the path.
    """
    if caller.kind is CallerKind.APP:
        raise ApiError(403, "Resource not accessible by integration")
    if caller.kind is CallerKind.ANYONE:
        return
    found = None if repository is None else world.repositories.get(repository.lower())
    public = found is not None and not found.private
    name, _, level = permission.partition(":")
    readable = public and level == "read" and name in _PUBLIC
    if caller.kind is CallerKind.CLASSIC:
        if not scope or readable or _has_scope(caller, scope):
            return
        if repository is not None and not public and not _has_scope(caller, "repo"):
            raise not_found()
        raise ApiError(403, "Must have admin rights to Repository." if repository else "You must be an org admin.")
    if caller.installation is not None:
        if caller.installation.suspended_at is not None:
            raise ApiError(403, "This installation has been suspended")
        if owner is not None and owner.lower() != caller.installation.account.lower() and not readable:
            raise not_found()
    if found is not None and caller.repositories is not None and found.key not in caller.repositories and not readable:
        raise not_found()
    if permission and not readable:
        held = (caller.permissions or {}).get(name, "")
        if LEVELS.get(held, 0) < LEVELS[level]:
            raise ApiError(403, _NOT_FOR[caller.kind])


def _has_scope(caller: Caller, scope: str) -> bool:
    held = caller.scopes or ()
    return scope in held or any(wider in held for wider in _IMPLIED.get(scope, ()))
