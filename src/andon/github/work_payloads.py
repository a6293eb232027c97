"""GitHub's objects around issues, pull requests and check runs (contract section 4b)."""

from datetime import datetime

import msgspec

MAX_BODY = 65_536
"""Characters that GitHub takes for an issue's or comment's body."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    login: str
    type: str | None = None


class IssueLabel(msgspec.Struct, frozen=True, kw_only=True):
    name: str | None = None


class IssueObject(msgspec.Struct, frozen=True, kw_only=True):
    """An issue. The list of issues also holds pull requests: they have `pull_request`."""

    id: int
    number: int
    title: str
    state: str
    body: str | None = None
    node_id: str | None = None
    html_url: str | None = None
    user: Person | None = None
    labels: tuple[IssueLabel | str, ...] = ()
    pull_request: dict[str, object] | None = None
    updated_at: datetime | None = None
    closed_at: datetime | None = None


class CommentObject(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    body: str | None = None
    user: Person | None = None
    html_url: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a pull request."""

    ref: str
    sha: str
    repo: "BranchRepository | None" = None


class BranchRepository(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    full_name: str | None = None


class PullObject(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request. `merged` and `merged_by` come with a single one, not with lists."""

    id: int
    number: int
    state: str
    head: Branch
    base: Branch
    title: str = ""
    draft: bool | None = None
    merged: bool | None = None
    merged_at: datetime | None = None
    merged_by: Person | None = None
    merge_commit_sha: str | None = None
    user: Person | None = None
    html_url: str | None = None
    updated_at: datetime | None = None


class CheckOutput(msgspec.Struct, frozen=True, kw_only=True):
    title: str | None = None
    summary: str | None = None
    text: str | None = None


class CheckApp(msgspec.Struct, frozen=True, kw_only=True):
    id: int | None = None
    slug: str | None = None


class CheckRunObject(msgspec.Struct, frozen=True, kw_only=True):
    """A check run; a job of Actions is one too, under the same id."""

    id: int
    name: str
    status: str
    head_sha: str = ""
    conclusion: str | None = None
    node_id: str | None = None
    external_id: str | None = None
    html_url: str | None = None
    details_url: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    app: CheckApp | None = None
    output: CheckOutput | None = None


class CheckRunList(msgspec.Struct, frozen=True, kw_only=True):
    total_count: int
    check_runs: tuple[CheckRunObject, ...]
