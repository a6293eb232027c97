"""The manifest that an App is made of, checked as GitHub checks it before it shows its page."""

from collections.abc import Mapping
from typing import Any

import msgspec

from andon.sim.sandbox.refusals import ApiError

LEVELS = {"read": 1, "write": 2, "admin": 3}
_PERMISSION_OF_EVENT = {
    "check_run": "checks",
    "check_suite": "checks",
    "deployment": "deployments",
    "issue_comment": "issues",
    "issues": "issues",
    "merge_group": "merge_queues",
    "pull_request": "pull_requests",
    "push": "contents",
    "repository": "metadata",
    "workflow_dispatch": "contents",
    "workflow_job": "actions",
    "workflow_run": "actions",
}


class _HookAttributes(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    active: bool = True


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    name: str = ""
    hook_attributes: _HookAttributes | None = None
    redirect_url: str | None = None
    callback_urls: tuple[str, ...] = ()
    setup_url: str | None = None
    description: str | None = None
    public: bool = False
    default_events: tuple[str, ...] = ()
    default_permissions: dict[str, str] = {}
    request_oauth_on_install: bool = False
    setup_on_update: bool = False


def checked_manifest(manifest: Any) -> Mapping[str, Any]:
    """The manifest as plain values; raises ApiError 422 with one sentence for one that GitHub refuses."""
    try:
        checked = msgspec.convert(manifest, _Manifest)
    except msgspec.ValidationError as error:
        raise ApiError(422, f"The manifest is not valid: {error}") from None
    if not checked.name or len(checked.name) > 34:
        raise ApiError(422, 'The manifest is not valid: "name" is empty or longer than 34 characters.')
    for name, level in checked.default_permissions.items():
        if level not in LEVELS:
            raise ApiError(422, f'The manifest is not valid: the permission "{name}" is {level!r}, not read or write.')
    lacking = [
        event
        for event in checked.default_events
        if _PERMISSION_OF_EVENT.get(event, "metadata") not in {"metadata", *checked.default_permissions}
    ]
    if lacking:
        raise ApiError(422, f"Default events are not supported by the permissions: {', '.join(lacking)}.")
    if checked.default_events and checked.hook_attributes is None:
        raise ApiError(422, "Default events need a webhook: give hook_attributes.url.")
    return msgspec.to_builtins(checked)
