"""A hook's request, taken apart. Whoever reaches the socket may have written it, so it is bounded and
cleaned here: it names a job and is never a path, and who asks is found out elsewhere (`caller.py`)."""

import re
from enum import StrEnum
from typing import Annotated

import msgspec

from andon.model.workspaces import JobIdentity
from andon.runtime.errors import Refused

_REPOSITORY = re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}\Z")
_NUMBER = re.compile(r"[1-9][0-9]{0,18}\Z", re.ASCII)
_MAX_NUMBER = 2**63 - 1
_MAX_ATTEMPT = 1_000_000
_NAME_CHARS, _PATH_CHARS = 1024, 4096


class Hook(StrEnum):
    """Which of the two hooks asks."""

    STARTED = "started"
    COMPLETED = "completed"


class HookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One line from a hook. `pid` is what it says of itself and decides nothing; the kernel is asked."""

    v: int = 1
    hook: Hook
    pid: int = 0
    env: dict[str, Annotated[str, msgspec.Meta(max_length=_PATH_CHARS)]] = {}


def read_request(line: bytes) -> HookRequest:
    """Decodes one line. Raises Refused for what is no request of a hook."""
    try:
        request = msgspec.json.decode(line, type=HookRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Refused(f"That is no request of a hook ({error}). Let only the runner call the hook.") from None
    if request.v != 1:
        raise Refused(
            f"Version {request.v} of a hook's request is not known. Start the agent again: it renews its hooks."
        )
    return request


def identity_of(request: HookRequest) -> JobIdentity:
    """The job that the request names. Raises Refused when its numbers or its repository are none."""
    env = request.env
    repository = env.get("GITHUB_REPOSITORY", "")
    if not _REPOSITORY.match(repository) or repository.split("/")[1] in (".", ".."):
        raise Refused("GITHUB_REPOSITORY is no owner/name. Let only the runner call the hook.")
    return JobIdentity(
        repository=repository,
        run_id=_number(env, "GITHUB_RUN_ID", _MAX_NUMBER),
        attempt=_number(env, "GITHUB_RUN_ATTEMPT", _MAX_ATTEMPT),
        job=_text(env, "GITHUB_JOB"),
        runner=_text(env, "RUNNER_NAME"),
        event=_text(env, "GITHUB_EVENT_NAME"),
        ref=_text(env, "GITHUB_REF"),
        sha=_text(env, "GITHUB_SHA"),
        workspace=_path(env, "GITHUB_WORKSPACE"),
        temp=_path(env, "RUNNER_TEMP"),
        tracking=_text(env, "RUNNER_TRACKING_ID"),
    )


def _number(env: dict[str, str], name: str, most: int) -> int:
    text = env.get(name, "")
    if not _NUMBER.match(text) or int(text) > most:
        raise Refused(f"{name} is no number from 1 to {most}. Let only the runner call the hook.")
    return int(text)


def _text(env: dict[str, str], name: str) -> str:
    """For records and pages: no line ends and no control characters, whatever a branch is called."""
    return "".join(char if char.isprintable() else "?" for char in env.get(name, "")[:_NAME_CHARS])


def _path(env: dict[str, str], name: str) -> str:
    """A path is kept as it is or not at all: a cleaned one would name another folder."""
    path = env.get(name, "")
    return path if path.startswith("/") and path.isprintable() and ".." not in path.split("/") else ""
