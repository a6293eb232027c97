"""Loop "spool": hands deliveries that were kept on disk to the database as soon as it answers (R1).

Every replica drains its own folder; leadership is not needed, as a GUID is kept once.
"""

from andon.runtime.logging import Logger
from andon.store.intake import Intake

AGAIN_S = 0.5
"""Pause between two tries while the database does not answer."""
LOOK_S = 60.0
"""Period of the looks at what other processes may have left in the folder; what we spool ourselves wakes the loop."""


class DrainSpool:
    """One pass empties the spool, or finds the database still away."""

    def __init__(self, intake: Intake, log: Logger) -> None:
        self._intake, self._log = intake, log
        self._away = False

    async def run_once(self) -> float | None:
        """Drains what waits; gives the pause until the next try when it could not."""
        if not self._intake.spooling:
            self._intake.look_around()
        if not self._intake.spooling:
            return None
        try:
            new = await self._intake.drain()
        except Exception as error:
            if not self._away:
                self._log.warning("spool.waits", reason=f"{type(error).__name__}: {error}"[:300])
            self._away = True
            return AGAIN_S
        self._away = False
        self._log.info("spool.drained", new=new)
        return 0.0 if self._intake.spooling else None
