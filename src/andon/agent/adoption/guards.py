"""Hooks that a folder has already: found in its `.env` or its listener's environment, and judged."""

import os
import stat
from pathlib import Path

import msgspec

from andon.agent.adoption.env_lines import HOOK_NAMES, values_in
from andon.agent.adoption.processes import FolderSight
from andon.agent.adoption.records import Adoption, ForeignHook, Records
from andon.rules.foreign_hooks import MAX_HOOK_BYTES, Deletion, deletions_in


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """A foreign hook as it stands."""

    event: str
    path: str
    source: str
    text: str | None
    """None: it cannot be read or is no text."""
    deletions: tuple[Deletion, ...]
    decided: bool | None = None
    """What an earlier adoption decided: chained or not."""


def find_guards(
    key: str, env: bytes, sight: FolderSight, records: Records, before: Adoption | None
) -> tuple[Guard, ...]:
    """Every hook of the folder that is not ours, by event."""
    named = values_in(env)
    outside = _environment(sight)
    found: list[Guard] = []
    for event, variable in HOOK_NAMES.items():
        ours = os.fsencode(records.script(key, event))
        decided: bool | None = None
        known = before.foreign.get(event) if before is not None else None
        if named.get(variable) == ours and known is not None:
            path, source, decided = known.path, known.source, known.chained
        elif variable in named and named[variable] != ours:
            path, source = os.fsdecode(named[variable] or b""), ".env"
        elif outside.get(variable) not in (None, b"", ours):
            path, source = os.fsdecode(outside[variable]), "the listener's environment"
        else:
            continue
        if path and not Path(path).is_relative_to(records.root.hooks):
            content = _content(Path(path))
            text = content.decode("utf-8", "replace") if content is not None and b"\0" not in content else None
            found.append(
                Guard(
                    event=event,
                    path=path,
                    source=source,
                    text=text,
                    deletions=deletions_in(content),
                    decided=decided,
                )
            )
    return tuple(found)


def decide(guard: Guard, *, chain: bool, replace: bool) -> ForeignHook | None:
    """What becomes of the hook; None: that has to be said first, for it deletes (P2)."""
    if replace or chain:
        chained = chain
    elif guard.decided is not None:
        chained = guard.decided
    elif guard.deletions:
        return None
    else:
        chained = True
    return ForeignHook(path=guard.path, source=guard.source, chained=chained)


def _content(path: Path) -> bytes | None:
    try:
        # A pipe or a device would keep us waiting.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        return None
    with os.fdopen(file, "rb") as stream:
        return stream.read(MAX_HOOK_BYTES + 1)


def _environment(sight: FolderSight) -> dict[bytes, bytes]:
    """The environment that the listener was started with, where we may read it; `.env` comes on top of it."""
    for process in sight.listeners:
        try:
            raw = Path(f"/proc/{process.pid}/environ").read_bytes()
        except OSError:
            continue
        return {name: value for name, sign, value in (line.partition(b"=") for line in raw.split(b"\0")) if sign}
    return {}
