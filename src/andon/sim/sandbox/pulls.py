"""Pull requests: made, merged and closed through control; read through the API."""

from datetime import datetime

import msgspec

from andon.sim.sandbox.records import Repository
from andon.sim.sandbox.refusals import ApiError, not_found
from andon.sim.sandbox.run_spec import check_repository_name
from andon.sim.sandbox.world import World


class Pull(msgspec.Struct, kw_only=True, eq=False):
    id: int
    repository: Repository
    number: int
    author: str
    title: str
    body: str | None
    head: str
    head_sha: str
    base: str
    base_sha: str
    created_at: datetime
    updated_at: datetime
    fork: str | None = None
    """The login whose fork the head is in."""
    draft: bool = False
    labels: tuple[str, ...] = ()
    state: str = "open"
    closed_at: datetime | None = None
    merged_at: datetime | None = None
    merged_by: str | None = None
    merge_commit_sha: str | None = None

    def __repr__(self) -> str:
        return f"<pull request {self.repository.full_name}#{self.number}>"


class PullSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /_sandbox/pulls`: makes a pull request, or with `number` changes one."""

    repository: str
    number: int | None = None
    title: str | None = None
    body: str | None = None
    head: str | None = None
    sha: str | None = None
    """Of the head."""
    base: str | None = None
    author: str = "octocat"
    fork: bool = False
    draft: bool = False
    labels: tuple[str, ...] | None = None
    state: str | None = None
    merged_by: str | None = None
    """A login: merges it."""
    merge_commit_sha: str | None = None


class Pulls:
    """All pull requests of the sandbox."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pulls: dict[str, dict[int, Pull]] = {}

    def put(self, spec: PullSpec) -> Pull:
        """Makes or changes a pull request; raises ApiError 404, 409 or 422."""
        check_repository_name(spec.repository)
        if spec.state not in (None, "open", "closed"):
            raise ApiError(422, f'"state" is {spec.state!r}. Give open or closed, or "merged_by" to merge it.')
        repository = self._world.make_repository(spec.repository)
        pull = self._make(repository, spec) if spec.number is None else self.get(repository, spec.number)
        pull.title = spec.title or pull.title
        pull.body = spec.body if spec.body is not None else pull.body
        pull.head_sha = spec.sha or pull.head_sha
        pull.labels = spec.labels if spec.labels is not None else pull.labels
        pull.updated_at = now = self._world.now()
        if spec.merged_by is not None:
            if pull.state != "open":
                raise ApiError(409, f"Pull request {pull.number} is not open, so it cannot be merged.")
            pull.merged_by, pull.merged_at = spec.merged_by, now
            pull.merge_commit_sha = spec.merge_commit_sha or self._world.new_token(160)
            pull.state, pull.closed_at = "closed", now
        elif spec.state is not None and pull.merged_at is None:
            pull.state, pull.closed_at = spec.state, now if spec.state == "closed" else None
        return pull

    def _make(self, repository: Repository, spec: PullSpec) -> Pull:
        world = self._world
        repository.last_number += 1
        made = Pull(
            id=world.new_id("issue"),
            repository=repository,
            number=repository.last_number,
            author=spec.author,
            title=spec.title or f"Pull request {repository.last_number}",
            body=spec.body,
            head=spec.head or f"topic-{repository.last_number}",
            head_sha=spec.sha or world.new_token(160),
            base=spec.base or repository.default_branch,
            base_sha=world.new_token(160),
            fork="octocat-fork" if spec.fork else None,
            draft=spec.draft,
            created_at=world.now(),
            updated_at=world.now(),
        )
        self._pulls.setdefault(repository.key, {})[made.number] = made
        return made

    def get(self, repository: Repository, number: int) -> Pull:
        """One pull request; raises ApiError 404."""
        found = self._pulls.get(repository.key, {}).get(number)
        if found is None:
            raise not_found()
        return found

    def list(self, repository: Repository, *, state: str = "open") -> "list[Pull]":
        """The pull requests, newest first; `state` open, closed or all."""
        there = reversed(self._pulls.get(repository.key, {}).values())
        return [pull for pull in there if state in ("all", pull.state)]
