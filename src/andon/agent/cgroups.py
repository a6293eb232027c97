"""A cgroup (version 2) of its own for each runner, where the machine allows one.

It holds whatever a runner leaves behind, however its processes detach themselves. Without one the
process group has to do, and the record says so.
"""

import hashlib
from pathlib import Path

from andon.agent.layout import Root


def _mount() -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        left, _, right = line.partition(" - ")
        if right.startswith("cgroup2 "):
            return Path(left.split()[4])
    return None


def _own_path() -> str | None:
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("0::"):
            return line[3:]
    return None


def cgroup_base(root: Root) -> Path | None:
    """Where this root's runners get their cgroups: below the agent's own. None: nowhere."""
    try:
        mount, own = _mount(), _own_path()
    except OSError:
        return None
    if mount is None or own is None or ".." in own:
        return None
    # Two agents of one machine have different roots, and so different folders here.
    mark = hashlib.sha256(str(root.path).encode()).hexdigest()[:12]
    return mount / own.lstrip("/") / f"andon.{mark}"


def end_cgroup(path: str | None) -> None:
    """Ends every process in the cgroup by SIGKILL; does nothing where there is none."""
    if path:
        try:
            Path(path, "cgroup.kill").write_text("1", encoding="ascii")
        except OSError:
            pass


def remove_cgroup(path: str | None) -> bool:
    """Removes an empty cgroup, and the root's when it was the last; False while a process is in it."""
    if not path:
        return True
    try:
        Path(path).rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        Path(path).parent.rmdir()
    except OSError:
        pass
    return True
