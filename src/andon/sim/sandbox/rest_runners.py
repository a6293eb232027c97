"""GitHub's endpoints for runners, at repositories and at organisations (contract section 3)."""

import re
from collections.abc import Callable

import msgspec

from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply, page_of
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.jit_config import encoded_config
from andon.sim.sandbox.refusals import not_found
from andon.sim.sandbox.repository_json import stamp
from andon.sim.sandbox.runner_json import runner_json

_PLATFORMS = (("linux", "x64"), ("linux", "arm64"), ("osx", "arm64"), ("win", "x64"))
_NEWEST = "2.336.0"
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


class _JitRequest(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    runner_group_id: int
    labels: tuple[str, ...]
    work_folder: str = "_work"


def runner_endpoints(sandbox: SandboxGitHub) -> list[Endpoint]:
    """Mint, list, get and delete; tokens to register and remove by; the end of old versions."""
    world = sandbox.world

    def mint(asked: Asked) -> Reply:
        scope = sandbox.runners.known_scope(asked.scope)
        wanted = asked.read(_JitRequest)
        runner = sandbox.runners.register(
            scope,
            name=wanted.name,
            labels=wanted.labels,
            group_id=wanted.runner_group_id,
            work_folder=wanted.work_folder,
        )
        config = encoded_config(runner, asked.base_url)
        return Reply(status=201, body={"runner": runner_json(runner), "encoded_jit_config": config})

    def list_all(asked: Asked) -> Reply:
        found = sandbox.runners.list(asked.scope, name=asked.query.get("name"))
        return page_of(asked, found, "runners", runner_json)

    def get(asked: Asked) -> Reply:
        return Reply(body=runner_json(sandbox.runners.get(asked.scope, asked.path["runner_id"])))

    def delete(asked: Asked) -> Reply:
        sandbox.runners.delete(asked.scope, asked.path["runner_id"])
        return Reply(status=204)

    def token(asked: Asked) -> Reply:
        sandbox.runners.known_scope(asked.scope)
        until = stamp(world.after(world.timings.registration_token_s))
        return Reply(status=201, body={"token": f"A{world.new_token(112).upper()}", "expires_at": until})

    def downloads(asked: Asked) -> Reply:
        sandbox.runners.known_scope(asked.scope)
        return Reply(body=[_download(asked.base_url, os, architecture) for os, architecture in _PLATFORMS])

    def deprecations(asked: Asked) -> Reply:
        sandbox.runners.known_scope(asked.scope)
        version = asked.path["version"]
        if not _VERSION.fullmatch(version):
            raise not_found()
        runtime, registration = world.deprecations.get(version, (None, None))
        return Reply(
            body={
                "runner_version": version,
                "runtime_deprecates_at": runtime,
                "registration_deprecates_at": registration,
            }
        )

    out: list[Endpoint] = []
    for place, permission, scope in (
        ("/repos/{owner}/{repo}", "administration", "repo"),
        ("/orgs/{org}", "organization_self_hosted_runners", "admin:org"),
    ):
        runners = f"{place}/actions/runners"
        table: list[tuple[str, str, Callable[[Asked], Reply], str]] = [
            ("POST", "/generate-jitconfig", mint, "jit"),
            ("POST", "/registration-token", token, "actions_runner_registration"),
            ("POST", "/remove-token", token, "core"),
            ("GET", "/downloads", downloads, "core"),
            ("GET", "/deprecations/{version}", deprecations, "core"),
            ("GET", "", list_all, "core"),
            ("GET", "/{runner_id}", get, "core"),
            ("DELETE", "/{runner_id}", delete, "core"),
        ]
        out += [
            Endpoint(
                method=method,
                template=runners + path,
                answer=answer,
                permission=f"{permission}:{'read' if method == 'GET' else 'write'}",
                scope=scope,
                resource=resource,
            )
            for method, path, answer, resource in table
        ]
    return out


def _download(base_url: str, os: str, architecture: str) -> dict[str, str]:
    """A package of the runner; the sandbox has none behind the address."""
    ending = "zip" if os == "win" else "tar.gz"
    filename = f"actions-runner-{os}-{architecture}-{_NEWEST}.{ending}"
    url = f"{base_url}/actions/runner/releases/download/v{_NEWEST}/{filename}"
    return {"os": os, "architecture": architecture, "download_url": url, "filename": filename}
