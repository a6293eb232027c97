"""What `[pool.workspace]` must satisfy."""

import re
from collections.abc import Iterator

from andon.model.config import Workspace
from andon.rules.config_finding import Finding, KeyPath, refused
from andon.rules.workspace_exports import wrong_folder, wrong_variable

_OWNER = re.compile(r"runner|[a-z_][a-z0-9_-]{0,31}|[0-9]{1,9}:[0-9]{1,9}")


def check_workspace(workspace: Workspace, *at: str | int) -> Iterator[Finding]:
    """Findings about one pool's workspace; `at` is where the pool's table stands."""
    where: KeyPath = (*at, "workspace")
    if not _OWNER.fullmatch(workspace.owner):
        yield refused(
            f'owner is "{workspace.owner}". Write "runner", the name of a user, or "uid:gid" in numbers.',
            *where,
            "owner",
        )
    for variable, folder in workspace.export.items():
        for wrong in (wrong_variable(variable), wrong_folder(folder)):
            if wrong:
                yield refused(wrong, *where, "export")
