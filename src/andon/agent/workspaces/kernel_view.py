"""What the kernel shows of workspaces, by the evidence of `agent.leases`, as the keeper asks for it."""

from collections.abc import Callable, Mapping

from andon.agent.leases.evidence import Evidence
from andon.agent.leases.table import LeaseTable
from andon.agent.leases.watching import LeaseWatch
from andon.agent.process_identity import lives
from andon.model.workspaces import Hold, LeaseRecord


class KernelView:
    """`up_s` gives seconds since boot (CLOCK_BOOTTIME)."""

    def __init__(
        self, table: LeaseTable, evidence: Evidence, watch: LeaseWatch, *, boot_id: str, up_s: Callable[[], float]
    ) -> None:
        self._table, self._evidence, self._watch = table, evidence, watch
        self._boot_id, self._up_s = boot_id, up_s

    def up_s(self) -> float:
        """Seconds since boot, with the time asleep."""
        return self._up_s()

    def watch(self) -> None:
        """From now on the end of any lease's job process nudges."""
        self._watch.keep(self._table.records())

    def gone(self) -> frozenset[str]:
        """The leases whose job's process ended; from now on the others' ends nudge."""
        self._table.upkeep()
        records = self._table.records()
        self._watch.keep(records)
        return frozenset(record.id for record in records if not self._lives(record))

    async def holds(self, records: tuple[LeaseRecord, ...]) -> Mapping[str, tuple[Hold, ...]]:
        """Who can still use each of them, by one look for all."""
        return await self._evidence.holds(records, self._table.lock_files())

    def _lives(self, record: LeaseRecord) -> bool:
        process = record.process
        return process is not None and record.boot_id == self._boot_id and lives(process.pid, process.start)
