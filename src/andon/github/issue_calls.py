"""Calls about issues, their comments, and pull requests (contract section 4b)."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from andon.github.asking import Asking, Listed, encode
from andon.github.call import Call, Priority
from andon.github.outcomes import Failed
from andon.github.scope import owner_of, repository_path
from andon.github.work_payloads import CommentObject, IssueObject, PullObject

State = Literal["open", "closed", "all"]


class IssueCalls(Asking):
    """What is asked about issues and pull requests."""

    async def create_issue(
        self, repository: str, *, title: str, body: str, labels: Sequence[str] = ()
    ) -> IssueObject | Failed:
        """Opens an issue. GONE: the repository has issues switched off."""
        content = encode(title=title, body=body, labels=list(labels) or None)
        call = _call("POST", repository, "/issues", body=content, creates=True)
        return await self._ask(call, IssueObject)

    async def issue(self, repository: str, number: int) -> IssueObject | Failed:
        """One issue."""
        return await self._ask(_call("GET", repository, f"/issues/{number}", "/issues/{number}"), IssueObject)

    async def update_issue(
        self,
        repository: str,
        number: int,
        *,
        title: str | None = None,
        body: str | None = None,
        state: Literal["open", "closed"] | None = None,
        labels: Sequence[str] | None = None,
    ) -> IssueObject | Failed:
        """Changes what is given of an issue, and leaves the rest."""
        content = encode(title=title, body=body, state=state, labels=None if labels is None else list(labels))
        call = _call("PATCH", repository, f"/issues/{number}", "/issues/{number}", body=content)
        return await self._ask(call, IssueObject)

    async def issues(
        self, repository: str, *, state: State = "open", labels: Sequence[str] = (), creator: str | None = None
    ) -> Listed[IssueObject] | Failed:
        """Issues, pull requests left out; with `labels` only those that carry all of them."""
        query: dict[str, str] = {"state": state}
        if labels:
            query["labels"] = ",".join(labels)
        if creator is not None:
            query["creator"] = creator
        call = _call("GET", repository, "/issues", query=query, conditional=True)
        listed = await self._list(call, tuple[IssueObject, ...], lambda page: page)
        if isinstance(listed, Failed):
            return listed
        items = tuple(issue for issue in listed.items if issue.pull_request is None)
        return msgspec.structs.replace(listed, items=items)

    async def comments(self, repository: str, number: int) -> Listed[CommentObject] | Failed:
        """The comments of an issue or pull request, oldest first."""
        path, template = f"/issues/{number}/comments", "/issues/{number}/comments"
        call = _call("GET", repository, path, template, conditional=True)
        return await self._list(call, tuple[CommentObject, ...], lambda page: page)

    async def add_comment(self, repository: str, number: int, body: str) -> CommentObject | Failed:
        """Comments on an issue or pull request."""
        path, template = f"/issues/{number}/comments", "/issues/{number}/comments"
        return await self._ask(
            _call("POST", repository, path, template, body=encode(body=body), creates=True), CommentObject
        )

    async def update_comment(self, repository: str, comment_id: int, body: str) -> CommentObject | Failed:
        """Replaces a comment's text."""
        path, template = f"/issues/comments/{comment_id}", "/issues/comments/{id}"
        return await self._ask(_call("PATCH", repository, path, template, body=encode(body=body)), CommentObject)

    async def pull(self, repository: str, number: int) -> PullObject | Failed:
        """One pull request, with who merged it."""
        return await self._ask(_call("GET", repository, f"/pulls/{number}", "/pulls/{number}"), PullObject)

    async def pulls(
        self, repository: str, *, state: State = "open", base: str | None = None, head: str | None = None
    ) -> Listed[PullObject] | Failed:
        """Pull requests, newest first; `head` is "owner:branch"."""
        query: dict[str, str] = {"state": state}
        if base is not None:
            query["base"] = base
        if head is not None:
            query["head"] = head
        call = _call("GET", repository, "/pulls", query=query, conditional=True)
        return await self._list(call, tuple[PullObject, ...], lambda page: page)


def _call(
    method: str,
    repository: str,
    path: str,
    template: str | None = None,
    *,
    query: dict[str, str] | None = None,
    body: bytes | None = None,
    creates: bool = False,
    conditional: bool = False,
) -> Call:
    return Call(
        method=method,
        path=f"{repository_path(repository)}{path}",
        endpoint=f"{method} /repos/{{repo}}{path if template is None else template}",
        owner=owner_of(repository),
        query=query or {},
        body=body,
        priority=Priority.LOOKUP if method == "GET" else Priority.ACT,
        conditional=conditional,
        creates_content=creates,
    )
