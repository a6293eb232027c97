"""GitHub's endpoints for Apps: who am I, installations, their tokens, and a manifest's conversion."""

from collections.abc import Callable

import msgspec

from andon.sim.sandbox.app_json import app_json, installation_json, listed_installation_json, token_json
from andon.sim.sandbox.app_records import App, Installation
from andon.sim.sandbox.callers import CallerKind
from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply, Who, page_of, repository_of
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.refusals import ApiError, not_found
from andon.sim.sandbox.repository_json import repository_json, user_json

_RESOURCES = ("core", "graphql", "actions_runner_registration", "search")


class _TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    repositories: tuple[str, ...] | None = None
    repository_ids: tuple[int, ...] | None = None
    permissions: dict[str, str] | None = None


def app_endpoints(sandbox: SandboxGitHub) -> list[Endpoint]:
    """Apps, installations, tokens, rate limits, the caller's own account."""
    world, apps, callers = sandbox.world, sandbox.apps, sandbox.callers

    def app_of(asked: Asked) -> App:
        if asked.caller is None or asked.caller.app is None:
            raise not_found()
        return asked.caller.app

    def installation_of(asked: Asked) -> Installation:
        return apps.installation(app_of(asked), asked.path["installation_id"])

    def show(installation: Installation, asked: Asked) -> Reply:
        return Reply(body=installation_json(installation, world, asked.base_url))

    def get_app(asked: Asked) -> Reply:
        return Reply(body=app_json(app_of(asked), world, asked.base_url))

    def get_by_slug(asked: Asked) -> Reply:
        return Reply(body=app_json(apps.by_slug(asked.path["app_slug"]), world, asked.base_url))

    def list_installations(asked: Asked) -> Reply:
        found = [*app_of(asked).installations.values()]
        return page_of(asked, found, None, lambda one: listed_installation_json(one, world, asked.base_url))

    def get_installation(asked: Asked) -> Reply:
        return show(installation_of(asked), asked)

    def delete_installation(asked: Asked) -> Reply:
        installation = installation_of(asked)
        apps.uninstall(installation)
        return Reply(status=204)

    def of_repository(asked: Asked) -> Reply:
        return show(apps.installation_on(app_of(asked), repository_of(sandbox, asked)), asked)

    def of_account(asked: Asked) -> Reply:
        return show(apps.installation_at(app_of(asked), asked.path.get("org") or asked.path["username"]), asked)

    def mint(asked: Asked) -> Reply:
        wanted = asked.read(_TokenRequest)
        token, made = callers.mint(
            installation_of(asked),
            permissions=wanted.permissions,
            repositories=wanted.repositories,
            repository_ids=wanted.repository_ids,
        )
        return Reply(status=201, body=token_json(token, made, world, asked.base_url))

    def as_installation(asked: Asked) -> Installation:
        if asked.caller is None or asked.caller.installation is None:
            raise ApiError(
                403,
                "You must authenticate with an installation access token in order to list repositories for an "
                "installation.",
            )
        return asked.caller.installation

    def repositories(asked: Asked) -> Reply:
        installation = as_installation(asked)
        chosen = asked.caller.repositories if asked.caller else None
        found = [
            repository
            for repository in world.repositories.values()
            if installation.covers(repository) and (chosen is None or repository.key in chosen)
        ]
        reply = page_of(asked, found, "repositories", lambda one: repository_json(one, asked.base_url))
        reply.body["repository_selection"] = "all" if chosen is None else "selected"
        return reply

    def end_token(asked: Asked) -> Reply:
        as_installation(asked)
        callers.end(asked.token)
        return Reply(status=204)

    def convert(asked: Asked) -> Reply:
        app, pem, secret = apps.convert(asked.path["code"])
        if app.hook is not None:
            sandbox.announcements.ping(app.hook, None)
        body = {
            **app_json(app, world, asked.base_url),
            "client_secret": world.new_token(160),
            "webhook_secret": secret,
            "pem": pem,
        }
        return Reply(status=201, body=body)

    def rate_limit(asked: Asked) -> Reply:
        caller = asked.caller
        if caller is None:
            raise not_found()
        shown = {name: sandbox.limits.show(caller, name) for name in _RESOURCES}
        return Reply(body={"resources": shown, "rate": shown["core"]})

    def user(asked: Asked) -> Reply:
        caller = asked.caller
        if caller is None or caller.kind in (CallerKind.INSTALLATION, CallerKind.APP):
            raise ApiError(403, "Resource not accessible by integration")
        shown = user_json(caller.login, world.owner_id(caller.login), asked.base_url)
        nothing = dict.fromkeys(("name", "company", "blog", "location", "email", "hireable", "bio"))
        counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
        made = "2026-01-01T00:00:00Z"
        return Reply(body={**shown, **nothing, **counts, "created_at": made, "updated_at": made})

    def as_app(method: str, template: str, answer: Callable[[Asked], Reply]) -> Endpoint:
        return Endpoint(method=method, template=template, answer=answer, who=Who.APP)

    one = "/app/installations/{installation_id}"
    return [
        as_app("GET", "/app", get_app),
        as_app("GET", "/app/installations", list_installations),
        as_app("GET", one, get_installation),
        as_app("DELETE", one, delete_installation),
        as_app("POST", f"{one}/access_tokens", mint),
        as_app("GET", "/repos/{owner}/{repo}/installation", of_repository),
        as_app("GET", "/orgs/{org}/installation", of_account),
        as_app("GET", "/users/{username}/installation", of_account),
        Endpoint(method="GET", template="/apps/{app_slug}", answer=get_by_slug, who=Who.OPEN),
        Endpoint(method="GET", template="/installation/repositories", answer=repositories),
        Endpoint(method="DELETE", template="/installation/token", answer=end_token),
        Endpoint(method="POST", template="/app-manifests/{code}/conversions", answer=convert, who=Who.OPEN),
        Endpoint(method="GET", template="/rate_limit", answer=rate_limit, who=Who.KNOWN, resource=""),
        Endpoint(method="GET", template="/user", answer=user, who=Who.KNOWN),
    ]
