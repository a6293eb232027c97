"""Times that are promised, measured: the worst of each, and whether a fault in force excuses it (R4, R27, I13)."""

import msgspec


class Bound(msgspec.Struct, kw_only=True, eq=False):
    """One promise, and how it was kept."""

    name: str
    limit_s: float
    measured: int = 0
    worst_s: float = 0.0
    """Where no fault was in force."""
    worst_in_trouble_s: float = 0.0
    """Where one was: the whole time, its outage included."""

    def note(self, seconds: float, *, in_trouble: bool) -> None:
        """One measured time."""
        self.measured += 1
        if in_trouble:
            self.worst_in_trouble_s = max(self.worst_in_trouble_s, seconds)
        else:
            self.worst_s = max(self.worst_s, seconds)


TOLD = "rescue, end known"
LOST = "rescue, end report lost"
SILENT = "rescue, no evidence"
UNTOLD = "lost `queued` found"
IDLE = "idle beside waiting"


def bounds() -> dict[str, Bound]:
    """Those of R27, R4 and I13."""
    return {
        name: Bound(name=name, limit_s=limit_s)
        for name, limit_s in ((TOLD, 30.0), (LOST, 60.0), (SILENT, 240.0), (UNTOLD, 180.0), (IDLE, 30.0))
    }
