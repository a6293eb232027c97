"""Whether anything still uses a folder, by evidence of the kernel: never by age or by a pid file.

A container's use is invisible in its processes' links (they show the container's own paths), so
the mounts of every mount namespace are read, too.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from andon.agent.process_identity import all_pids

_LINKS = ("cwd", "exe", "root")


def _links(pid: int) -> set[str]:
    """Every path that a process holds; those that we may not read, or that went, are left out."""
    out: set[str] = set()
    base = f"/proc/{pid}"
    names: list[str] = list(_LINKS)
    try:
        names.extend(f"fd/{name}" for name in os.listdir(f"{base}/fd"))  # noqa: PTH208 (hot: one for each open file)
    except OSError:
        pass
    for name in names:
        try:
            out.add(os.readlink(f"{base}/{name}"))  # noqa: PTH115
        except OSError:
            pass
    return out


def _mount_fields(pid: int) -> Iterable[str]:
    """For each mount of the process's namespace: its root inside its filesystem, and its place."""
    try:
        text = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        fields = line.split()
        yield from fields[3:5]


def used_folders(folders: Iterable[Path]) -> set[Path]:
    """Those of `folders` that a process works in, runs from, holds open, or has mounted."""
    left = {folder: (str(folder), "/".join(("", *folder.parts[-3:]))) for folder in folders}
    used: set[Path] = set()
    namespaces: set[str] = set()
    for pid in all_pids():
        links = _links(pid)
        try:
            namespace = os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115
        except OSError:
            namespace = ""
        mounts: set[str] = set()
        if namespace and namespace not in namespaces:
            namespaces.add(namespace)
            mounts = {f"{field}/" for field in _mount_fields(pid)}
        for folder, (path, tail) in left.items():
            if folder in used:
                continue
            inside = any(link == path or link.startswith(f"{path}/") for link in links)
            # The last three names (slots, number, claim) are the same wherever it is mounted from.
            if inside or any(f"{tail}/" in field for field in mounts):
                used.add(folder)
    return used
