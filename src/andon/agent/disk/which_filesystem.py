"""The filesystem that a path lies on, as mounts name it. Subvolumes of one btrfs have numbers of their own in `stat`,
and share their room: what counts room asks here."""

from pathlib import Path

from andon.agent.leases.mounts import mount_of


class WhichFilesystem:
    """Remembers the answer for each number that `stat` gives. For one look: a number that is free is given again."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def of(self, path: Path, number: int) -> str:
        """`major:minor`; empty when it cannot be told now. `number` is the path's `st_dev`."""
        if number not in self._known:
            mount = mount_of(path)
            if mount is None:
                return ""
            self._known[number] = mount.device
        return self._known[number]
