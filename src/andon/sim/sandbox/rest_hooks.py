"""GitHub's endpoints for webhooks and their delivery log (contract section 2)."""

from collections.abc import Callable

import msgspec

from andon.sim.sandbox.delivery_json import config_json, hook_json, send_detail_json, send_json
from andon.sim.sandbox.delivery_records import Hook
from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply, Who, page_of
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.refusals import ApiError, not_found
from andon.sim.sandbox.run_spec import check_repository_name

HookOf = Callable[[Asked], Hook]


class _HookConfig(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    content_type: str = "form"
    secret: str = ""


class _ConfigChange(msgspec.Struct, frozen=True, kw_only=True):
    url: str | None = None
    content_type: str | None = None
    secret: str | None = None


class _HookRequest(msgspec.Struct, frozen=True, kw_only=True):
    config: _HookConfig
    name: str = "web"
    active: bool = True
    events: tuple[str, ...] = ("push",)


class _HookChange(msgspec.Struct, frozen=True, kw_only=True):
    config: _ConfigChange = _ConfigChange()
    events: tuple[str, ...] | None = None
    add_events: tuple[str, ...] = ()
    remove_events: tuple[str, ...] = ()
    active: bool | None = None


def hook_endpoints(sandbox: SandboxGitHub) -> list[Endpoint]:
    """Make, list, get, change, ping and delete webhooks; their delivery log; the webhook of an App."""

    def create(asked: Asked) -> Reply:
        world = sandbox.world
        repository = None
        if name := asked.repository_name:
            check_repository_name(name)
            # Unlike GitHub: a script sets up its webhook before the first run makes the repository.
            repository = world.make_repository(name)
        wanted = asked.read(_HookRequest)
        config = wanted.config
        if wanted.name != "web" or not wanted.events:
            raise ApiError(422, 'Validation Failed: the name is "web" and "events" not empty.')
        _check_config(config.url, config.content_type)
        hook = sandbox.hooks.create(
            asked.scope.lower(),
            target_id=repository.id if repository else world.owner_id(asked.scope),
            url=config.url,
            content_type=config.content_type,
            secret=config.secret,
            events=wanted.events,
            active=wanted.active,
        )
        sandbox.announcements.ping(hook, repository)
        return Reply(status=201, body=hook_json(hook, asked.base_url))

    def hook_of(asked: Asked) -> Hook:
        return sandbox.hooks.get(asked.scope.lower(), asked.path["hook_id"])

    def hook_of_app(asked: Asked) -> Hook:
        if asked.caller is None or asked.caller.app is None or asked.caller.app.hook is None:
            raise not_found()
        return asked.caller.app.hook

    def list_all(asked: Asked) -> Reply:
        hooks = sandbox.hooks.list(asked.scope.lower())
        return page_of(asked, hooks, None, lambda hook: hook_json(hook, asked.base_url))

    def get(asked: Asked) -> Reply:
        return Reply(body=hook_json(hook_of(asked), asked.base_url))

    def change(asked: Asked) -> Reply:
        hook, wanted = hook_of(asked), asked.read(_HookChange)
        events = wanted.events if wanted.events is not None else hook.events
        events = (*[each for each in events if each not in wanted.remove_events], *wanted.add_events)
        _change_config(hook, wanted.config)
        sandbox.hooks.change(hook, events=tuple(dict.fromkeys(events)), active=wanted.active)
        return Reply(body=hook_json(hook, asked.base_url))

    def ping(asked: Asked) -> Reply:
        name = asked.repository_name
        sandbox.announcements.ping(hook_of(asked), sandbox.world.repository(name) if name else None)
        return Reply(status=204)

    def delete(asked: Asked) -> Reply:
        sandbox.hooks.delete(asked.scope.lower(), asked.path["hook_id"])
        return Reply(status=204)

    def _change_config(hook: Hook, wanted: _ConfigChange) -> None:
        _check_config(wanted.url or hook.url, wanted.content_type or hook.content_type)
        sandbox.hooks.change(hook, url=wanted.url, content_type=wanted.content_type, secret=wanted.secret)

    def with_config(find: HookOf) -> tuple[Callable[[Asked], Reply], Callable[[Asked], Reply]]:
        def show(asked: Asked) -> Reply:
            return Reply(body=config_json(find(asked)))

        def update(asked: Asked) -> Reply:
            _change_config(find(asked), asked.read(_ConfigChange))
            return show(asked)

        return show, update

    def with_log(find: HookOf) -> tuple[Callable[[Asked], Reply], ...]:
        def deliveries(asked: Asked) -> Reply:
            return _deliveries(sandbox, find(asked), asked)

        def delivery(asked: Asked) -> Reply:
            return Reply(body=send_detail_json(sandbox.hooks.get_send(find(asked), asked.path["delivery_id"])))

        def redeliver(asked: Asked) -> Reply:
            sandbox.hooks.redeliver(find(asked), asked.path["delivery_id"])
            return Reply(status=202, body={})

        return deliveries, delivery, redeliver

    def endpoints(
        place: str, find: HookOf, *, who: Who, read: tuple[str, str] = ("", ""), write: tuple[str, str] = ("", "")
    ) -> list[Endpoint]:
        """Those that an App's webhook has too; `read` and `write`: permission and scope."""

        def made(method: str, path: str, answer: Callable[[Asked], Reply]) -> Endpoint:
            permission, scope = read if method == "GET" else write
            return Endpoint(
                method=method, template=place + path, answer=answer, who=who, permission=permission, scope=scope
            )

        show, update = with_config(find)
        deliveries, delivery, redeliver = with_log(find)
        return [
            made("GET", "/config", show),
            made("PATCH", "/config", update),
            made("GET", "/deliveries", deliveries),
            made("GET", "/deliveries/{delivery_id}", delivery),
            made("POST", "/deliveries/{delivery_id}/attempts", redeliver),
        ]

    out = endpoints("/app/hook", hook_of_app, who=Who.APP)
    for place, permission, scope in (
        ("/repos/{owner}/{repo}", "repository_hooks", "repo_hook"),
        ("/orgs/{org}", "organization_hooks", "org_hook"),
    ):
        hooks, one = f"{place}/hooks", f"{place}/hooks/{{hook_id}}"
        read, write = (f"{permission}:read", f"read:{scope}"), (f"{permission}:write", f"write:{scope}")
        if scope == "org_hook":
            read, write = (read[0], "admin:org_hook"), (write[0], "admin:org_hook")
        table: list[tuple[str, str, Callable[[Asked], Reply], tuple[str, str]]] = [
            ("POST", hooks, create, write),
            ("GET", hooks, list_all, read),
            ("GET", one, get, read),
            ("PATCH", one, change, write),
            ("DELETE", one, delete, write),
            ("POST", f"{one}/pings", ping, read),
        ]
        out += [
            Endpoint(method=method, template=path, answer=answer, permission=needs[0], scope=needs[1])
            for method, path, answer, needs in table
        ]
        out += endpoints(one, hook_of, who=Who.TOKEN, read=read, write=write)
    return out


def _deliveries(sandbox: SandboxGitHub, hook: Hook, asked: Asked) -> Reply:
    """The log, newest first. The cursor names the last one shown, so new ones move nothing."""
    sends = sandbox.hooks.log_of(hook)
    if (wanted := asked.query.get("status")) in ("success", "failure"):
        sends = [send for send in sends if (200 <= (send.status_code or 0) < 300) == (wanted == "success")]
    start = 0
    if cursor := asked.query.get("cursor"):
        found = next((place for place, send in enumerate(sends) if f"v1_{send.id}" == cursor), None)
        if found is None:
            raise ApiError(422, "The cursor is not valid any more. Start again without one.")
        start = found + 1
    end = start + asked.number("per_page", 30, 100)
    headers: dict[str, str] = {}
    if end < len(sends):
        status = f"&status={wanted}" if wanted else ""
        headers["Link"] = f'<{asked.url}?per_page={end - start}{status}&cursor=v1_{sends[end - 1].id}>; rel="next"'
    return Reply(body=[send_json(send) for send in sends[start:end]], headers=headers)


def _check_config(url: str, content_type: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise ApiError(422, 'Validation Failed: "config.url" is an http address.')
    if content_type not in ("json", "form"):
        raise ApiError(422, 'Validation Failed: "config.content_type" is json or form.')
