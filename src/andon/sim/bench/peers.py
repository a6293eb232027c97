"""Two Python job queues on PostgreSQL, each used as its manual says: what dispatch is measured beside.

pgqueuer claims many rows a statement, procrastinate one. They are packages of the development set.
"""

from collections.abc import Sequence
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, Protocol
from uuid import UUID

from andon.runtime.errors import Refused

_PAYLOAD_BYTES = 300
"""With its own columns a row has about 400 bytes then."""
_AT_ONCE = 1000
"""Rows of one insert."""


class Peer(Protocol):
    """A queue with a backlog."""

    async def claim(self, count: int) -> None:
        """Claims so many jobs; what is measured."""
        ...

    async def end(self) -> None:
        """Ends what was claimed, which is not measured."""
        ...

    async def close(self) -> None:
        """Closes its connections."""
        ...


def check_installed() -> None:
    """Raises Refused, with one sentence, where a peer's package is missing."""
    missing = [name for name in ("pgqueuer", "procrastinate") if find_spec(name) is None]
    if missing:
        raise Refused(
            f"On PostgreSQL, dispatch is measured beside {' and '.join(missing)}, which {_is(missing)} not installed. "
            "Install the development set (make test does it), or name --database sqlite."
        )


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


class PgQueuer:
    """pgqueuer 1.x on psycopg. `owners`: one entry point each, with a limit of its own, or none at all."""

    def __init__(self, connection: Any, queries: Any, limits: dict[str, Any]) -> None:
        self._connection, self._queries, self._limits = connection, queries, limits
        self._claimed: list[Any] = []

    @classmethod
    async def filled(cls, url: str, backlog: int, *, owners: Sequence[str], limit: int) -> "PgQueuer":
        """Its schema in an empty database, with a backlog. `limit` is that of each owner; 0: none."""
        import psycopg
        from pgqueuer.queries import EntrypointExecutionParameter, Queries

        connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
        queries = Queries.from_psycopg_connection(connection)
        await queries.install()
        for first in range(0, backlog, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, backlog))
            names = [owners[number % len(owners)] for number in numbers]
            await queries.enqueue(names, [b"x" * _PAYLOAD_BYTES for _ in numbers], [0 for _ in numbers])
        await connection.execute("VACUUM ANALYZE")
        return cls(connection, queries, {name: EntrypointExecutionParameter(limit) for name in owners})

    async def claim(self, count: int) -> None:
        jobs = await self._queries.dequeue(count, self._limits, UUID(int=1), None, timedelta(seconds=60))
        _check("pgqueuer", len(jobs), count)
        self._claimed += jobs

    async def end(self) -> None:
        await self._queries.log_jobs([(job, "successful", None) for job in self._claimed])
        self._claimed.clear()

    async def close(self) -> None:
        await self._connection.close()


class Procrastinate:
    """procrastinate 3.x on psycopg, with one connection: one claim after the other, by its design."""

    def __init__(self, app: Any, process: int) -> None:
        self._app, self._process = app, process
        self._claimed: list[int] = []

    @classmethod
    async def filled(cls, url: str, backlog: int) -> "Procrastinate":
        """Its schema in an empty database, with a backlog."""
        import procrastinate

        connector = procrastinate.PsycopgConnector(conninfo=url, min_size=1, max_size=1)
        app = procrastinate.App(connector=connector)
        await app.open_async()
        await app.schema_manager.apply_schema_async()
        deferrer = app.configure_task("bench", queue="bench", allow_unknown=True)
        arguments: dict[str, Any] = {"payload": "x" * _PAYLOAD_BYTES}
        for first in range(0, backlog, _AT_ONCE):
            await deferrer.batch_defer_async(*[arguments] * min(_AT_ONCE, backlog - first))
        await connector.execute_query_async("ANALYZE")
        return cls(app, await app.job_manager.register_worker())

    async def claim(self, count: int) -> None:
        for _ in range(count):
            job = await self._app.job_manager.fetch_job(["bench"], self._process)
            _check("procrastinate", int(job is not None), 1)
            self._claimed.append(job.id)

    async def end(self) -> None:
        from procrastinate.jobs import Status

        for job in self._claimed:
            await self._app.job_manager.finish_job_by_id_async(job_id=job, status=Status.SUCCEEDED, delete_job=False)
        self._claimed.clear()

    async def close(self) -> None:
        await self._app.close_async()


def _check(name: str, got: int, wanted: int) -> None:
    if got != wanted:
        raise AssertionError(f"{name} claimed {got} of {wanted}")
