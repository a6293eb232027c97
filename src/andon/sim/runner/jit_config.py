"""The JIT config: where the server is, who this runner is, and the token that proves it.

The official runner takes it from ACTIONS_RUNNER_INPUT_JITCONFIG: base64 of a JSON object whose
values are again base64, one for each file that a configured runner keeps.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import NamedTuple, cast

from andon.runtime.errors import Refused

VARIABLE = "ACTIONS_RUNNER_INPUT_JITCONFIG"


class Registration(NamedTuple):
    """One registered runner. `token` is a secret: it goes into the Authorization header only."""

    server_url: str
    name: str
    runner_id: int
    work_folder: str
    token: str
    runner_file: bytes
    """The `.runner` file as the official runner keeps it; holds no secret."""


def take_registration(environment: Mapping[str, str]) -> tuple[Registration, dict[str, str]]:
    """The registration, and the environment that everything started from here may see.

    Raises Refused with one sentence when there is no usable JIT config.
    """
    rest = {name: value for name, value in environment.items() if name != VARIABLE}
    encoded = environment.get(VARIABLE, "").strip()
    if not encoded:
        raise Refused(f"{VARIABLE} is not set. Put the encoded JIT config of a new runner into it.")
    try:
        files = _object(_decode(encoded))
        runner_file = _decode(_text(files, ".runner"))
        settings = _object(runner_file)
        data = _object(_decode(_text(files, ".credentials")))["data"]
        registration = Registration(
            server_url=_text(settings, "serverUrl").rstrip("/"),
            name=_text(settings, "agentName"),
            runner_id=int(str(settings["agentId"])),
            work_folder=str(settings.get("workFolder") or "_work"),
            token=_text(cast("dict[str, object]", data), "token"),
            runner_file=runner_file,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # The text of the error may quote the config, so only its kind is told.
        raise Refused(
            f"{VARIABLE} holds no usable JIT config ({type(error).__name__}). Ask GitHub for a new one."
        ) from None
    if not registration.server_url.startswith(("http://", "https://")):
        raise Refused(f"{VARIABLE} names a server that is no http address. Ask GitHub for a new JIT config.")
    return registration, rest


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _object(raw: bytes) -> dict[str, object]:
    value: object = json.loads(raw.decode("utf-8-sig"))
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return cast("dict[str, object]", value)


def _text(values: dict[str, object], name: str) -> str:
    value = values[name]
    if not isinstance(value, str) or not value:
        raise TypeError(name)
    return value
