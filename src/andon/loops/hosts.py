"""Loop "hosts": who has not reported for 45 s is silent: its slots are unknown and no capacity."""

from andon.loops.fleet import Fleet
from andon.model.host_states import SILENT_AFTER
from andon.store import hosts


class HostLiveness:
    """One pass marks hosts that fell silent; their next report brings them back."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._began = fleet.clock.now()

    async def run_once(self) -> float | None:
        """Marks silent hosts. A control plane that was away itself first gives them time to speak."""
        if self._fleet.clock.now() - self._began < SILENT_AFTER:
            return None
        if self._fleet.lease() is None:
            return None
        silent = await self._fleet.write(lambda tx: hosts.fall_silent(tx, tx.now - SILENT_AFTER))
        for name in silent:
            self._fleet.log.warning("host.silent", host=name)
        return None
