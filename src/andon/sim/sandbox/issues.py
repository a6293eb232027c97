"""Issues and their comments: made and changed through the API, numbered together with pull requests."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from andon.sim.sandbox.records import Repository
from andon.sim.sandbox.refusals import ApiError, not_found, validation_failed
from andon.sim.sandbox.world import World

LONGEST_BODY = 65_536
"""Characters of an issue's or a comment's body (github-contract.md section 4b)."""
_LONGEST_TITLE = 256
_MOST_PINS = 3


class Comment(msgspec.Struct, kw_only=True, eq=False):
    id: int
    issue: "Issue"
    author: str
    body: str
    created_at: datetime
    updated_at: datetime


class Issue(msgspec.Struct, kw_only=True, eq=False):
    id: int
    repository: Repository
    number: int
    author: str
    title: str
    body: str | None
    created_at: datetime
    updated_at: datetime
    labels: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    state: str = "open"
    state_reason: str | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    pinned: bool = False
    comments: dict[int, Comment] = {}

    @property
    def node_id(self) -> str:
        return f"I_sandbox{self.id}"

    def __repr__(self) -> str:
        return f"<issue {self.repository.full_name}#{self.number}>"


class Issues:
    """All issues of the sandbox."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._issues: dict[str, dict[int, Issue]] = {}
        self._comments: dict[int, Comment] = {}

    def create(
        self,
        repository: Repository,
        author: str,
        *,
        title: str,
        body: str | None,
        labels: tuple[str, ...] = (),
        assignees: tuple[str, ...] = (),
    ) -> Issue:
        """Opens an issue; raises ApiError 422 for a title or a body that GitHub refuses."""
        _check_title(title)
        _check_body("Issue", body)
        repository.last_number += 1
        now = self._world.now()
        made = Issue(
            id=self._world.new_id("issue"),
            repository=repository,
            number=repository.last_number,
            author=author,
            title=title,
            body=body,
            labels=labels,
            assignees=assignees,
            created_at=now,
            updated_at=now,
        )
        self._issues.setdefault(repository.key, {})[made.number] = made
        return made

    def get(self, repository: Repository, number: int) -> Issue:
        """One issue; raises ApiError 404."""
        found = self._issues.get(repository.key, {}).get(number)
        if found is None:
            raise not_found()
        return found

    def all(self) -> "list[Issue]":
        """All issues of all repositories."""
        return [issue for there in self._issues.values() for issue in there.values()]

    def list(self, repository: Repository, *, state: str = "open", labels: Sequence[str] = ()) -> "list[Issue]":
        """The issues, newest first; `state` open, closed or all; all of `labels` are on them."""
        wanted = {label.lower() for label in labels}
        return [
            issue
            for issue in reversed(self._issues.get(repository.key, {}).values())
            if state in ("all", issue.state) and wanted <= {label.lower() for label in issue.labels}
        ]

    def change(
        self,
        issue: Issue,
        actor: str,
        *,
        title: str | None = None,
        body: str | None = None,
        state: str | None = None,
        state_reason: str | None = None,
        labels: tuple[str, ...] | None = None,
        assignees: tuple[str, ...] | None = None,
    ) -> None:
        """Changes what is given; raises ApiError 422."""
        if title is not None:
            _check_title(title)
        _check_body("Issue", body)
        if state not in (None, "open", "closed"):
            raise validation_failed("Issue", "state", "invalid")
        issue.title = issue.title if title is None else title
        issue.body = issue.body if body is None else body
        issue.labels = issue.labels if labels is None else labels
        issue.assignees = issue.assignees if assignees is None else assignees
        now = self._world.now()
        if state == "closed" and issue.state == "open":
            issue.state, issue.closed_at, issue.closed_by = "closed", now, actor
            issue.state_reason = state_reason or "completed"
        elif state == "open" and issue.state == "closed":
            issue.state, issue.closed_at, issue.closed_by, issue.state_reason = "open", None, None, "reopened"
        issue.updated_at = now

    def pin(self, issue: Issue, *, pinned: bool) -> None:
        """Pins or unpins an issue; at most three are pinned. Raises ApiError 422."""
        others = sum(each.pinned for each in self._issues[issue.repository.key].values() if each is not issue)
        if pinned and others >= _MOST_PINS:
            raise ApiError(422, "Maximum 3 pinned issues per repository")
        issue.pinned = pinned

    def comment(self, issue: Issue, author: str, body: str) -> Comment:
        """Adds a comment; raises ApiError 422."""
        _check_body("IssueComment", body)
        now = self._world.now()
        made = Comment(
            id=self._world.new_id("comment"), issue=issue, author=author, body=body, created_at=now, updated_at=now
        )
        issue.comments[made.id] = made
        issue.updated_at = now
        self._comments[made.id] = made
        return made

    def get_comment(self, repository: Repository, comment_id: int) -> Comment:
        """One comment; raises ApiError 404."""
        found = self._comments.get(comment_id)
        if found is None or found.issue.repository is not repository:
            raise not_found()
        return found

    def change_comment(self, comment: Comment, body: str) -> None:
        """Writes a comment anew; raises ApiError 422."""
        _check_body("IssueComment", body)
        comment.body = body
        comment.updated_at = comment.issue.updated_at = self._world.now()

    def delete_comment(self, comment: Comment) -> None:
        """Takes a comment away."""
        del self._comments[comment.id]
        del comment.issue.comments[comment.id]


def _check_title(title: str) -> None:
    if not title.strip():
        raise validation_failed("Issue", "title", "missing_field")
    if len(title) > _LONGEST_TITLE:
        raise validation_failed(
            "Issue", "title", "custom", f"title is too long (maximum is {_LONGEST_TITLE} characters)"
        )


def _check_body(resource: str, body: str | None) -> None:
    if body is not None and len(body) > LONGEST_BODY:
        raise validation_failed(resource, "body", "custom", f"body is too long (maximum is {LONGEST_BODY} characters)")
    if resource == "IssueComment" and not (body or "").strip():
        raise validation_failed(resource, "body", "missing_field")
