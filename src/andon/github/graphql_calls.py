"""Jobs' states in bulk: 100 check runs a call, by their node ids (R10, contract section 4b).

GraphQL knows no runner of a check run: it cannot settle a shuffle.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from andon.github.asking import Asking, malformed
from andon.github.call import Call, Priority
from andon.github.outcomes import Failed

BATCH = 100
"""Node ids that GitHub takes in one query."""
_QUERY = "query($ids:[ID!]!){nodes(ids:$ids){...on CheckRun{id databaseId status conclusion}}}"


class CheckState(msgspec.Struct, frozen=True, kw_only=True):
    """A job's state in the words of the REST API: "in_progress", "success" ..."""

    id: int | None
    status: str
    conclusion: str | None


class CheckStates(msgspec.Struct, frozen=True, kw_only=True):
    """States by node id. `unknown`: GitHub gave nothing for these; unknown, not gone (law 4)."""

    at: datetime | None
    known: dict[str, CheckState]
    unknown: tuple[str, ...]
    calls: int


class _CheckRun(msgspec.Struct, frozen=True, kw_only=True):
    id: str | None = None
    status: str | None = None
    databaseId: int | None = None
    conclusion: str | None = None


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    nodes: tuple[_CheckRun | None, ...]


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    data: _Data


class GraphqlCalls(Asking):
    """What is asked by GraphQL."""

    async def check_states(
        self, owner: str, check_run_ids: Sequence[str], *, priority: Priority = Priority.LOOKUP
    ) -> CheckStates | Failed:
        """The states of jobs by `JobObject.node_id`, all seen with one owner's credential.

        ceil(N/100) calls. Failed when one of them failed: what is missing is not read as anything.
        """
        wanted = tuple(dict.fromkeys(check_run_ids))
        known: dict[str, CheckState] = {}
        at: datetime | None = None
        calls = 0
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            whole = await self._ask_whole(query_call(owner, _QUERY, {"ids": batch}, priority), _Answer)
            calls += 1
            if isinstance(whole, Failed):
                return whole
            answer, got = whole
            if len(answer.data.nodes) != len(batch):
                return malformed(f"{len(answer.data.nodes)} nodes came for {len(batch)} ids")
            at = at or got.at
            for asked, run in zip(batch, answer.data.nodes, strict=True):
                # GitHub keeps the order. An id of another form comes back in the new one.
                if run is not None and run.status is not None:
                    conclusion = run.conclusion.lower() if run.conclusion else None
                    known[asked] = CheckState(id=run.databaseId, status=run.status.lower(), conclusion=conclusion)
        unknown = tuple(each for each in wanted if each not in known)
        return CheckStates(at=at, known=known, unknown=unknown, calls=calls)


def query_call(owner: str, query: str, variables: dict[str, Any], priority: Priority) -> Call:
    """A GraphQL query as a call; the transport knows its address."""
    return Call(
        method="POST",
        path="/graphql",
        endpoint="POST /graphql",
        owner=owner,
        body=msgspec.json.encode({"query": query, "variables": variables}),
        priority=priority,
        graphql=True,
    )
