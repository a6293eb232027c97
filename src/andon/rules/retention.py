"""How long rows are kept after they stopped to matter: one table (R15).

What is open is kept whatever its age: a job that is not completed, a live claim, an act that waits,
a delivery that was not applied. A job's journal goes with the job. The order is the order of removal.
"""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

HISTORY = timedelta(days=35)
"""Runner ends are kept at least 30 days (R34), and a job's story as long as its job."""

GONE_HOST = HISTORY
"""A host that was not heard of for so long, and holds no live claim, is taken away with its slots and
its token; until then it is on the board, silent."""
REFUSED_RECORDS = HISTORY
"""What the spool put aside for people to look at."""

KEPT: Mapping[str, timedelta] = MappingProxyType(
    {
        # GitHub redelivers for 3 days, GHES for 7, under the same GUID (contract section 2): a GUID
        # that was forgotten earlier could be applied twice. Bodies go when they are applied.
        "deliveries": timedelta(days=14),
        "outbox": timedelta(days=14),
        "claims": HISTORY,
        "jobs": HISTORY,
        "runs": HISTORY,
        "journal": HISTORY,
        # Open ones stay, whatever their age.
        "incidents": HISTORY,
        # What GitHub listed is read again within minutes wherever there is something of ours.
        "registrations": timedelta(days=3),
        # One in ten minutes of each filesystem: for the picture of the last days.
        "disk_samples": timedelta(days=14),
        # As long as the story of the job that misses what was deleted.
        "deletions": HISTORY,
        # A release job may run once in some months; the newest 50 of a kind are kept anyway.
        "growth_samples": timedelta(days=180),
        "growth": timedelta(days=180),
        # What failed long ago says nothing of the next failure.
        "pauses": timedelta(days=30),
    }
)
"""By table, the age at which a row that is over goes."""
