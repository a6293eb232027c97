"""The check runs' node ids of jobs, as webhooks and answers named them: what GraphQL asks by (R10).

Only remembered here: a process that has not heard of a job yet asks for it by REST.
"""

from collections.abc import Iterator, Mapping

MOST = 20_000
"""Jobs; the oldest are forgotten first."""


class CheckRunIds(Mapping[int, str]):
    """By job id."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[int, str] = {}

    def learn(self, job_id: int, node_id: str | None) -> None:
        """Remembers one, if it was told."""
        if not node_id:
            return
        self._known.pop(job_id, None)
        self._known[job_id] = node_id
        while len(self._known) > self._most:
            del self._known[next(iter(self._known))]

    def __getitem__(self, job_id: int) -> str:
        return self._known[job_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
