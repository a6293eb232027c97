"""What the board shows: read by `web.board`, kept for the time that the database is away."""

import msgspec

from andon.model.api import DeliveryView, HostView, JobView, PoolView
from andon.web.headline import Finding
from andon.web.slot_cells import Cell


class HostRow(msgspec.Struct, frozen=True, kw_only=True):
    """A host and its slots as they are drawn."""

    host: HostView
    cells: tuple[Cell, ...]


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the board shows."""

    hosts: tuple[HostRow, ...]
    pools: tuple[PoolView, ...]
    findings: tuple[Finding, ...]
    well: str
    running: tuple[JobView, ...]
    waiting: tuple[JobView, ...]
    finished: tuple[JobView, ...]
    running_count: int
    waiting_count: int
    last_delivery: DeliveryView | None
    columns: int
    """How many slots stand side by side on a wide screen, the same for every host."""
