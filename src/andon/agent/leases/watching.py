"""Says when the process of any lease's job ends: the kernel tells (pidfd), nobody asks again and again."""

from collections.abc import Callable, Iterable

from andon.agent.watches import Named, Watches
from andon.model.workspaces import LeaseRecord


class LeaseWatch:
    """Calls `ended` when a job's process ends, and once for each that had ended before it was watched."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._watches = Watches(ended)

    def keep(self, records: Iterable[LeaseRecord]) -> None:
        """Watches the processes of these leases, those of this boot that have one, and no others."""
        wanted: set[Named] = {(one.process.pid, one.process.start) for one in records if one.process is not None}
        self._watches.keep(wanted)

    def close(self) -> None:
        """Watches nothing any more."""
        self._watches.close()
