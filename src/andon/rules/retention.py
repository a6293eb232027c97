"""How long rows are kept after they stopped to matter: one table (R15).

What is open is kept whatever its age: a job that is not completed and its journal, a live claim, an
act that waits, a delivery that was not applied. The order is the order of removal.
"""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

HISTORY = timedelta(days=35)
"""Runner ends are kept at least 30 days (R34), and a job's story as long as its job."""

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
        # What failed long ago says nothing of the next failure.
        "pauses": timedelta(days=30),
    }
)
"""By table, the age at which a row that is over goes."""
