"""Calls about runners: mint, find, list, label, group, remove (contract section 3).

Runners are registered at the repository or at the organisation, as the owner's configuration says.
"""

from collections.abc import Sequence

from andon.github.asking import PAGE, Asking, Listed, encode, malformed
from andon.github.call import Call, Priority
from andon.github.outcomes import Failed
from andon.github.runner_payloads import (
    DeprecationAnswer,
    ExpiringToken,
    JitAnswer,
    RunnerDeprecation,
    RunnerGroup,
    RunnerGroupList,
    RunnerLabel,
    RunnerLabels,
    RunnerList,
    RunnerObject,
)
from andon.github.scope import Scope, segment


class RunnerCalls(Asking):
    """What is asked about runners."""

    async def mint_runner(self, scope: Scope, *, name: str, group: int, labels: Sequence[str]) -> JitAnswer | Failed:
        """Registers a JIT runner. CONFLICT: the name exists, maybe from a try whose answer was lost."""
        body = encode(name=name, runner_group_id=group, labels=list(labels), work_folder="_work")
        return await self._ask(_call("POST", scope, "/generate-jitconfig", body=body), JitAnswer)

    async def find_runner(
        self, scope: Scope, name: str, *, priority: Priority = Priority.ACT
    ) -> RunnerObject | Failed | None:
        """The registration of exactly this name; None only when a whole answer lacks it."""
        call = _call("GET", scope, "", query={"name": name, "per_page": str(PAGE)}, priority=priority)
        listed = await self._ask(call, RunnerList)
        if isinstance(listed, Failed):
            return listed
        found = _named(name, listed.runners)
        if found is not None or len(listed.runners) >= listed.total_count:
            return found
        # A part is no evidence of absence (law 4): a server that does not filter by name is read to the end.
        whole = await self._list(call, RunnerList, lambda page: page.runners, lambda page: page.total_count)
        return whole if isinstance(whole, Failed) else _named(name, whole.items)

    async def list_runners(self, scope: Scope, *, priority: Priority = Priority.SWEEP) -> Listed[RunnerObject] | Failed:
        """Every registration; new ones may appear late in it (contract section 3)."""
        call = _call("GET", scope, "", priority=priority, conditional=True)
        return await self._list(call, RunnerList, lambda page: page.runners, lambda page: page.total_count)

    async def knock(self, scope: Scope) -> Failed | None:
        """The cheapest question there is: one entry of the list, free while it has not changed. None: answered."""
        call = _call("GET", scope, "", query={"per_page": "1"}, priority=Priority.LOOKUP, conditional=True)
        got = await self._transport.send(call)
        return got if isinstance(got, Failed) else None

    async def runner(
        self, scope: Scope, runner_id: int, *, priority: Priority = Priority.LOOKUP
    ) -> RunnerObject | Failed:
        """One registration. GONE: it is not there."""
        return await self._ask(_call("GET", scope, f"/{runner_id}", "/{id}", priority=priority), RunnerObject)

    async def delete_runner(self, scope: Scope, runner_id: int, *, priority: Priority = Priority.ACT) -> Failed | None:
        """Removes a registration. INVALID (422): it is running a job. GONE: it is not there."""
        return await self._do(_call("DELETE", scope, f"/{runner_id}", "/{id}", priority=priority))

    async def runner_labels(self, scope: Scope, runner_id: int) -> tuple[RunnerLabel, ...] | Failed:
        """A runner's labels, the read-only ones included."""
        call = _call("GET", scope, f"/{runner_id}/labels", "/{id}/labels", priority=Priority.LOOKUP)
        return _labels(await self._ask(call, RunnerLabels))

    async def set_runner_labels(
        self, scope: Scope, runner_id: int, labels: Sequence[str]
    ) -> tuple[RunnerLabel, ...] | Failed:
        """Replaces the custom labels; gives all labels as they are then."""
        call = _call("PUT", scope, f"/{runner_id}/labels", "/{id}/labels", body=encode(labels=list(labels)))
        return _labels(await self._ask(call, RunnerLabels))

    async def add_runner_labels(
        self, scope: Scope, runner_id: int, labels: Sequence[str]
    ) -> tuple[RunnerLabel, ...] | Failed:
        """Adds custom labels; gives all labels as they are then."""
        call = _call("POST", scope, f"/{runner_id}/labels", "/{id}/labels", body=encode(labels=list(labels)))
        return _labels(await self._ask(call, RunnerLabels))

    async def remove_runner_label(self, scope: Scope, runner_id: int, label: str) -> tuple[RunnerLabel, ...] | Failed:
        """Removes one custom label. GONE: it does not carry it. INVALID: the label is read-only."""
        call = _call("DELETE", scope, f"/{runner_id}/labels/{segment(label)}", "/{id}/labels/{name}")
        return _labels(await self._ask(call, RunnerLabels))

    async def runner_groups(self, org: str) -> Listed[RunnerGroup] | Failed:
        """The organisation's runner groups."""
        call = Call(
            method="GET",
            path=f"/orgs/{segment(org)}/actions/runner-groups",
            endpoint="GET /orgs/{org}/actions/runner-groups",
            owner=org,
            conditional=True,
        )
        return await self._list(call, RunnerGroupList, lambda page: page.runner_groups, lambda page: page.total_count)

    async def move_runner(self, org: str, group: int, runner_id: int) -> Failed | None:
        """Puts a runner of the organisation into another group."""
        return await self._do(
            Call(
                method="PUT",
                path=f"/orgs/{segment(org)}/actions/runner-groups/{group}/runners/{runner_id}",
                endpoint="PUT /orgs/{org}/actions/runner-groups/{group}/runners/{id}",
                owner=org,
                priority=Priority.ACT,
            )
        )

    async def registration_token(self, scope: Scope) -> ExpiringToken | Failed:
        """A token that registers runners for an hour; doctor asks for one to see that it may."""
        return await self._ask(_call("POST", scope, "/registration-token"), ExpiringToken)

    async def runner_deprecations(self, scope: Scope, version: str) -> RunnerDeprecation | Failed:
        """When this version of the runner program stops working (R45). GONE: GitHub says nothing of it."""
        call = _call(
            "GET", scope, f"/deprecations/{segment(version)}", "/deprecations/{version}", priority=Priority.LOOKUP
        )
        answer = await self._ask(call, DeprecationAnswer)
        try:
            return answer if isinstance(answer, Failed) else answer.read()
        except ValueError as error:
            return malformed(f"an answer out of contract: {error}")


def _named(name: str, runners: Sequence[RunnerObject]) -> RunnerObject | None:
    return next((runner for runner in runners if runner.name == name), None)


def _labels(got: RunnerLabels | Failed) -> tuple[RunnerLabel, ...] | Failed:
    return got if isinstance(got, Failed) else got.labels


def _call(
    method: str,
    scope: Scope,
    path: str,
    template: str | None = None,
    *,
    query: dict[str, str] | None = None,
    body: bytes | None = None,
    priority: Priority = Priority.ACT,
    conditional: bool = False,
) -> Call:
    return Call(
        method=method,
        path=f"{scope.path}/actions/runners{path}",
        endpoint=f"{method} {scope.template}/actions/runners{path if template is None else template}",
        owner=scope.owner,
        query=query or {},
        body=body,
        priority=priority,
        conditional=conditional,
    )
