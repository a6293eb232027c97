"""GitHub's endpoints for pull requests (contract section 4b)."""

from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply, page_of, repository_of
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.pull_json import pull_detail_json, pull_json

_REPOSITORY = "/repos/{owner}/{repo}"


def pull_endpoints(sandbox: SandboxGitHub) -> list[Endpoint]:
    """List and get, and those that a commit belongs to."""
    world, pulls = sandbox.world, sandbox.pulls

    def list_all(asked: Asked) -> Reply:
        found = pulls.list(repository_of(sandbox, asked), state=asked.query.get("state", "open"))
        if base := asked.query.get("base"):
            found = [pull for pull in found if pull.base == base]
        if head := asked.query.get("head"):
            found = [pull for pull in found if head in (pull.head, f"{pull.fork or pull.repository.owner}:{pull.head}")]
        if asked.query.get("direction") == "asc":
            found.reverse()
        return page_of(asked, found, None, lambda pull: pull_json(pull, world, asked.base_url))

    def get(asked: Asked) -> Reply:
        pull = pulls.get(repository_of(sandbox, asked), asked.path["pull_number"])
        return Reply(body=pull_detail_json(pull, world, asked.base_url))

    def of_commit(asked: Asked) -> Reply:
        sha = asked.path["commit_sha"]
        every = pulls.list(repository_of(sandbox, asked), state="all")
        found = [pull for pull in every if sha in (pull.head_sha, pull.merge_commit_sha)]
        return page_of(asked, found, None, lambda pull: pull_json(pull, world, asked.base_url))

    return [
        Endpoint(
            method="GET", template=f"{_REPOSITORY}{path}", answer=answer, permission="pull_requests:read", scope="repo"
        )
        for path, answer in (
            ("/pulls", list_all),
            ("/pulls/{pull_number}", get),
            ("/commits/{commit_sha}/pulls", of_commit),
        )
    ]
