"""GitHub's endpoints for webhooks and their delivery log (contract section 2)."""

from typing import Any

import msgspec

from andon.sim.sandbox.delivery_json import hook_json, send_detail_json, send_json
from andon.sim.sandbox.delivery_records import Hook
from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.refusals import ApiError
from andon.sim.sandbox.run_spec import check_repository_name


class _HookConfig(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    content_type: str = "form"
    secret: str = ""


class _HookRequest(msgspec.Struct, frozen=True, kw_only=True):
    config: _HookConfig
    name: str = "web"
    active: bool = True
    events: tuple[str, ...] = ("push",)


def hook_endpoints(sandbox: SandboxGitHub) -> list[Endpoint]:
    """Make, list, get and delete webhooks; read their delivery log and redeliver."""

    def create(asked: Asked) -> Reply:
        world = sandbox.world
        repository = None
        if name := asked.repository_name:
            check_repository_name(name)
            # Unlike GitHub: a script sets up its webhook before the first run makes the repository.
            repository = world.make_repository(name)
        try:
            wanted = msgspec.convert(asked.body, _HookRequest)
        except msgspec.ValidationError as error:
            raise ApiError(422, f"Invalid request.\n\n{error}") from None
        config = wanted.config
        if wanted.name != "web" or not config.url.startswith(("http://", "https://")) or not wanted.events:
            raise ApiError(
                422, 'Validation Failed: the name is "web", "config.url" an http address, "events" not empty.'
            )
        if config.content_type not in ("json", "form"):
            raise ApiError(422, 'Validation Failed: "config.content_type" is json or form.')
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

    def list_all(asked: Asked) -> Reply:
        return Reply(body=[hook_json(hook, asked.base_url) for hook in sandbox.hooks.list(asked.scope.lower())])

    def get(asked: Asked) -> Reply:
        return Reply(body=hook_json(hook_of(asked), asked.base_url))

    def delete(asked: Asked) -> Reply:
        sandbox.hooks.delete(asked.scope.lower(), asked.path["hook_id"])
        return Reply(status=204)

    def deliveries(asked: Asked) -> Reply:
        sends = sandbox.hooks.log_of(hook_of(asked))
        if (wanted := asked.query.get("status")) in ("success", "failure"):
            sends = [send for send in sends if (200 <= (send.status_code or 0) < 300) == (wanted == "success")]
        start = asked.number("cursor", 1, 1 << 60) - 1
        end = start + asked.number("per_page", 30, 100)
        headers: dict[str, str] = {}
        if end < len(sends):
            headers["Link"] = f'<{asked.url}?per_page={end - start}&cursor={end + 1}>; rel="next"'
        shown: list[Any] = [send_json(send) for send in sends[start:end]]
        return Reply(body=shown, headers=headers)

    def delivery(asked: Asked) -> Reply:
        return Reply(body=send_detail_json(sandbox.hooks.get_send(hook_of(asked), asked.path["delivery_id"])))

    def redeliver(asked: Asked) -> Reply:
        sandbox.hooks.redeliver(hook_of(asked), asked.path["delivery_id"])
        return Reply(status=202, body={})

    out: list[Endpoint] = []
    for place in ("/repos/{owner}/{repo}", "/orgs/{org}"):
        hooks = f"{place}/hooks"
        log = f"{hooks}/{{hook_id}}/deliveries"
        out += [
            Endpoint(method="POST", template=hooks, answer=create),
            Endpoint(method="GET", template=hooks, answer=list_all),
            Endpoint(method="GET", template=f"{hooks}/{{hook_id}}", answer=get),
            Endpoint(method="DELETE", template=f"{hooks}/{{hook_id}}", answer=delete),
            Endpoint(method="GET", template=log, answer=deliveries),
            Endpoint(method="GET", template=f"{log}/{{delivery_id}}", answer=delivery),
            Endpoint(method="POST", template=f"{log}/{{delivery_id}}/attempts", answer=redeliver),
        ]
    return out
