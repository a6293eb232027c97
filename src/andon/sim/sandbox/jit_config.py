"""A runner's configuration in one secret text: base64 of JSON, as the official runner takes it.

Names of the official one: `.runner` says where and who, `.credentials` proves it.
"""

import base64
from typing import Any

import msgspec

from andon.sim.sandbox.records import Runner


def encoded_config(runner: Runner, base_url: str) -> str:
    """The text that GitHub calls `encoded_jit_config`. Secret until it is used."""
    settings: dict[str, Any] = {
        "serverUrl": base_url,
        "agentId": runner.id,
        "agentName": runner.name,
        "poolId": runner.group_id,
        "poolName": runner.group_name,
        "workFolder": runner.work_folder,
        "gitHubUrl": f"{base_url}/{runner.scope}",
        "labels": list(runner.labels),
        "ephemeral": runner.ephemeral,
    }
    credentials = {"scheme": "OAuth", "data": {"token": runner.token}}
    files = {".runner": _encoded(settings), ".credentials": _encoded(credentials)}
    return _encoded(files)


def _encoded(value: Any) -> str:
    return base64.b64encode(msgspec.json.encode(value)).decode()
