"""The table of a job's steps as GitHub shows it, kept while the job runs."""

from typing import NamedTuple

from andon.runtime.wall_time import now_utc
from andon.sim.runner.messages import StepReport
from andon.sim.runner.reporter import Reporter


class Title(NamedTuple):
    """A row: how the job calls it, and how people read it."""

    key: str
    name: str


class StepTable:
    """Rows are numbered from 1 in the order given; changes are shown through the reporter."""

    def __init__(self, titles: list[Title], reporter: Reporter) -> None:
        self._reporter = reporter
        self._rows = {title.key: _queued(number, title) for number, title in enumerate(titles, start=1)}

    def add(self, title: Title) -> None:
        """A row that was not known before, after all that have begun; the rest move down."""
        rows = list(self._rows.items())
        place = sum(row["status"] != "queued" for _, row in rows)
        rows.insert(place, (title.key, _queued(place + 1, title)))
        for number, (_, row) in enumerate(rows, start=1):
            row["number"] = number
        self._rows = dict(rows)

    def rows(self) -> list[StepReport]:
        """Every row as it is now."""
        return list(self._rows.values())

    def start(self, key: str) -> None:
        """Marks a row as running. The first row is not shown alone: it lasts milliseconds."""
        row = self._rows[key]
        row["status"], row["started_at"] = "in_progress", _now()
        if row["number"] > 1:
            self._reporter.show(self.rows())

    def end(self, key: str, conclusion: str, *, show: bool = True) -> None:
        """Marks a row as ended; `show` false where the next change follows at once."""
        row = self._rows[key]
        row["status"], row["conclusion"], row["completed_at"] = "completed", conclusion, _now()
        row["started_at"] = row["started_at"] or row["completed_at"]
        if show:
            self._reporter.show(self.rows())

    def skip_rest(self) -> None:
        """Closes every row that never began."""
        for key, row in self._rows.items():
            if row["status"] == "queued":
                self.end(key, "skipped", show=False)


def _queued(number: int, title: Title) -> StepReport:
    return StepReport(
        number=number, name=title.name, status="queued", conclusion=None, started_at=None, completed_at=None
    )


def _now() -> str:
    return f"{now_utc():%Y-%m-%dT%H:%M:%SZ}"
