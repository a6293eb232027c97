"""The two scripts that an adopted runner calls: our hook, then the one that was there before.

The runner runs a `.sh` by `bash -e`, else `sh -e`; a chained hook is run in the same way, with the
same environment, and its exit code is the script's (interfaces.md section 3).
"""

import os
import shlex
from pathlib import Path

import msgspec

MARK = "# Made by `andon agent adopt`; `andon agent adopt --undo` takes it back."
"""The first line of every script, by which another agent knows that a folder is taken."""


class HookCall(msgspec.Struct, frozen=True, kw_only=True):
    """How our own hook is called for one adopted slot."""

    interpreter: Path
    program: Path
    """`hook.py`."""
    host: str
    slot: int
    socket: Path


def script_text(call: HookCall | None, event: str, chained: str | None) -> str:
    """The script for `event`. `call` None: only the chained hook is left to run, as after undoing."""
    lines = [MARK]
    if call is not None:
        python = _quoted(call.interpreter)
        names = f"ANDON_HOST={shlex.quote(call.host)} ANDON_SLOT={call.slot} ANDON_SOCKET={_quoted(call.socket)}"
        # Only its own word, 1, may fail a job: a hook that broke in any other way must not.
        lines += [
            f"if [ -x {python} ]; then",
            f"  {names} {python} -I -S {_quoted(call.program)} {event} || [ $? -ne 1 ] || exit 1",
            "fi",
        ]
    if chained is not None:
        path = shlex.quote(chained)
        if chained.endswith(".ps1"):
            order = ". '" + chained.replace("'", "''") + "'"
            lines.append(f"exec pwsh -command {shlex.quote(order)}")
        else:
            lines.append(f"if command -v bash >/dev/null 2>&1; then exec bash -e {path}; else exec sh -e {path}; fi")
    else:
        lines.append("exit 0")
    return "\n".join(lines) + "\n"


def _quoted(path: Path) -> str:
    return shlex.quote(os.fspath(path))
