"""What a job is told of its workspace: which variables name which of its sub-directories (interfaces.md 1, 4; R94).

The table is the pool's. The same checks hold where the file is read and where a host acts on it, since
what names a directory must never lead out of it.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

ALWAYS: Mapping[str, str] = MappingProxyType({"TMPDIR": "tmp"})
"""Temporary files go with the workspace, also after SIGKILL (R59); a pool may name another sub-directory."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_OURS_OR_THE_RUNNERS = re.compile(r"(ANDON|GITHUB|RUNNER|ACTIONS)_|(NODE_OPTIONS|PATH|LD_PRELOAD|LD_LIBRARY_PATH|CI)\Z")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@-]{0,99}")
_DEEPEST = 8


def wrong_variable(name: str) -> str | None:
    """Why no variable may be called so; None when one may."""
    if not _VARIABLE.fullmatch(name):
        return f"{name!r} is no name for a variable. Use letters, digits and underscores."
    if _OURS_OR_THE_RUNNERS.match(name):
        return f"{name} is set by the runner, by Andon or by the system. Export another variable."
    return None


def wrong_folder(name: str) -> str | None:
    """Why no sub-directory may be called so; None when one may. It may be nested: `a/b`."""
    parts = name.split("/")
    if len(parts) <= _DEEPEST and all(_PART.fullmatch(part) for part in parts):
        return None
    return (
        f"{name!r} is no sub-directory of a workspace. Name one below it with letters, digits and ._+@-, "
        "without a slash at either end."
    )


def folders(export: Mapping[str, str]) -> tuple[str, ...]:
    """Every sub-directory that the table names, those above before those below, each once."""
    named = set({**ALWAYS, **export}.values())
    whole = {"/".join(parts[: end + 1]) for parts in (name.split("/") for name in named) for end in range(len(parts))}
    return tuple(sorted(whole))


def variables(export: Mapping[str, str], path: str) -> dict[str, str]:
    """The variables of a workspace at `path`, as the job sees it there."""
    return {variable: f"{path}/{folder}" for variable, folder in {**ALWAYS, **export}.items()}
