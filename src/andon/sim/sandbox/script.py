"""`--script FILE`: control calls at given times, as a TOML list.

[[call]]
at_s = 0.5
post = "/_sandbox/runs"
body = { repository = "acme/app", jobs = [{ name = "test" }] }
"""

from pathlib import Path
from typing import Any

import msgspec

from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.logging import Logger
from andon.runtime.toml_file import line_of, load_toml
from andon.sim.sandbox import control
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.refusals import ApiError


class ScriptCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call, `at_s` seconds after the start."""

    at_s: float
    post: str
    body: dict[str, Any] = {}


class _Script(msgspec.Struct, frozen=True, kw_only=True):
    call: list[ScriptCall] = []


def read_script(path: Path) -> list[ScriptCall]:
    """The calls of a script in the order of their times; raises Refused with file and line."""
    calls = load_toml(path, _Script).call
    text = path.read_text(encoding="utf-8")
    for number, call in enumerate(calls):
        line = line_of(text, "call", number)
        if call.at_s < 0:
            raise Refused(f"{path}:{line}: at_s is {call.at_s}. Give 0 or more seconds.")
        try:
            control.check(call.post, call.body)
        except ApiError as refusal:
            raise Refused(f"{path}:{line}: {refusal.message}") from None
    return sorted(calls, key=lambda call: call.at_s)


async def play(sandbox: SandboxGitHub, calls: list[ScriptCall], clock: Clock, log: Logger) -> None:
    """Carries out the calls at their times; one that is refused is logged and the rest goes on."""
    began = clock.monotonic()
    for call in calls:
        await clock.sleep(began + call.at_s - clock.monotonic())
        try:
            status, _ = control.post(sandbox, call.post, call.body)
            log.info("script.called", post=call.post, at_s=call.at_s, status=status)
        except ApiError as refusal:
            log.error("script.refused", post=call.post, at_s=call.at_s, status=refusal.status, why=refusal.message)
