"""GitHub's endpoints for issues and their comments (contract section 4b)."""

from collections.abc import Callable

import msgspec

from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply, page_of, repository_of
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.issue_json import comment_json, issue_json
from andon.sim.sandbox.issues import Comment, Issue
from andon.sim.sandbox.refusals import validation_failed


class _IssueRequest(msgspec.Struct, frozen=True, kw_only=True):
    title: str | int | None = None
    body: str | None = None
    labels: tuple[str | dict[str, str | None], ...] | None = None
    assignees: tuple[str, ...] | None = None
    state: str | None = None
    state_reason: str | None = None


class _CommentRequest(msgspec.Struct, frozen=True, kw_only=True):
    body: str = ""


def issue_endpoints(sandbox: SandboxGitHub) -> list[Endpoint]:
    """Open, read and change issues; add, read, change and delete comments."""
    world, issues = sandbox.world, sandbox.issues

    def issue_of(asked: Asked) -> Issue:
        return issues.get(repository_of(sandbox, asked), asked.path["issue_number"])

    def comment_of(asked: Asked) -> Comment:
        return issues.get_comment(repository_of(sandbox, asked), asked.path["comment_id"])

    def show(asked: Asked, issue: Issue, status: int = 200) -> Reply:
        return Reply(status=status, body=issue_json(issue, world, asked.base_url))

    def show_comment(asked: Asked, comment: Comment, status: int = 200) -> Reply:
        return Reply(status=status, body=comment_json(comment, world, asked.base_url))

    def create(asked: Asked) -> Reply:
        repository, wanted = repository_of(sandbox, asked), asked.read(_IssueRequest)
        if wanted.title is None:
            raise validation_failed("Issue", "title", "missing_field")
        made = issues.create(
            repository,
            asked.login,
            title=str(wanted.title),
            body=wanted.body,
            labels=_labels(wanted) or (),
            assignees=wanted.assignees or (),
        )
        return show(asked, made, 201)

    def list_all(asked: Asked) -> Reply:
        labels = [label for label in asked.query.get("labels", "").split(",") if label]
        found = issues.list(repository_of(sandbox, asked), state=asked.query.get("state", "open"), labels=labels)
        if creator := asked.query.get("creator"):
            found = [issue for issue in found if issue.author == creator]
        if asked.query.get("direction") == "asc":
            found.reverse()
        return page_of(asked, found, None, lambda issue: issue_json(issue, world, asked.base_url))

    def get(asked: Asked) -> Reply:
        return show(asked, issue_of(asked))

    def change(asked: Asked) -> Reply:
        issue, wanted = issue_of(asked), asked.read(_IssueRequest)
        issues.change(
            issue,
            asked.login,
            title=None if wanted.title is None else str(wanted.title),
            body=wanted.body,
            state=wanted.state,
            state_reason=wanted.state_reason,
            labels=_labels(wanted),
            assignees=wanted.assignees,
        )
        return show(asked, issue)

    def comment(asked: Asked) -> Reply:
        made = issues.comment(issue_of(asked), asked.login, asked.read(_CommentRequest).body)
        return show_comment(asked, made, 201)

    def list_comments(asked: Asked) -> Reply:
        found = [*issue_of(asked).comments.values()]
        return page_of(asked, found, None, lambda one: comment_json(one, world, asked.base_url))

    def every_comment(asked: Asked) -> Reply:
        there = issues.list(repository_of(sandbox, asked), state="all")
        found = sorted((one for issue in there for one in issue.comments.values()), key=lambda one: one.id)
        return page_of(asked, found, None, lambda one: comment_json(one, world, asked.base_url))

    def get_comment(asked: Asked) -> Reply:
        return show_comment(asked, comment_of(asked))

    def change_comment(asked: Asked) -> Reply:
        found = comment_of(asked)
        issues.change_comment(found, asked.read(_CommentRequest).body)
        return show_comment(asked, found)

    def delete_comment(asked: Asked) -> Reply:
        issues.delete_comment(comment_of(asked))
        return Reply(status=204)

    every = "/repos/{owner}/{repo}/issues"
    one, comments, single = (
        f"{every}/{{issue_number}}",
        f"{every}/{{issue_number}}/comments",
        f"{every}/comments/{{comment_id}}",
    )
    table: list[tuple[str, str, Callable[[Asked], Reply]]] = [
        ("POST", every, create),
        ("GET", every, list_all),
        ("GET", one, get),
        ("PATCH", one, change),
        ("POST", comments, comment),
        ("GET", comments, list_comments),
        ("GET", f"{every}/comments", every_comment),
        ("GET", single, get_comment),
        ("PATCH", single, change_comment),
        ("DELETE", single, delete_comment),
    ]
    return [
        Endpoint(
            method=method,
            template=path,
            answer=answer,
            permission="issues:read" if method == "GET" else "issues:write",
            scope="repo",
            creates_content=method == "POST",
        )
        for method, path, answer in table
    ]


def _labels(wanted: _IssueRequest) -> tuple[str, ...] | None:
    if wanted.labels is None:
        return None
    return tuple(label if isinstance(label, str) else str(label.get("name") or "") for label in wanted.labels)
