"""Pull requests as GitHub's JSON shows them, short in lists and whole by number."""

from typing import Any

from andon.sim.sandbox.issue_json import author_json, label_json
from andon.sim.sandbox.pulls import Pull
from andon.sim.sandbox.repository_json import repository_json, stamp, whole_fork_json
from andon.sim.sandbox.world import World


def pull_json(pull: Pull, world: World, base_url: str) -> dict[str, Any]:
    """A pull request as a list shows it."""
    repository = pull.repository
    repository_url = f"{base_url}/repos/{repository.full_name}"
    url = f"{repository_url}/pulls/{pull.number}"
    issue_url = f"{repository_url}/issues/{pull.number}"
    html_url = f"{base_url}/{repository.full_name}/pull/{pull.number}"
    statuses_url = f"{repository_url}/statuses/{pull.head_sha}"
    links = {
        "self": url,
        "html": html_url,
        "issue": issue_url,
        "comments": f"{issue_url}/comments",
        "review_comments": f"{url}/comments",
        "review_comment": f"{repository_url}/pulls/comments{{/number}}",
        "commits": f"{url}/commits",
        "statuses": statuses_url,
    }
    return {
        "id": pull.id,
        "node_id": f"PR_sandbox{pull.id}",
        "url": url,
        "html_url": html_url,
        "diff_url": f"{html_url}.diff",
        "patch_url": f"{html_url}.patch",
        "issue_url": issue_url,
        "commits_url": links["commits"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "comments_url": links["comments"],
        "statuses_url": statuses_url,
        "number": pull.number,
        "state": pull.state,
        "locked": False,
        "title": pull.title,
        "user": author_json(pull.author, world, base_url),
        "body": pull.body,
        "labels": [label_json(name, repository_url) for name in pull.labels],
        "milestone": None,
        "active_lock_reason": None,
        "created_at": stamp(pull.created_at),
        "updated_at": stamp(pull.updated_at),
        "closed_at": stamp(pull.closed_at),
        "merged_at": stamp(pull.merged_at),
        "merge_commit_sha": pull.merge_commit_sha,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "head": _side(pull, world, base_url, ref=pull.head, sha=pull.head_sha, fork=pull.fork),
        "base": _side(pull, world, base_url, ref=pull.base, sha=pull.base_sha, fork=None),
        "_links": {name: {"href": address} for name, address in links.items()},
        "author_association": "NONE" if pull.fork else "MEMBER",
        "auto_merge": None,
        "draft": pull.draft,
    }


def pull_detail_json(pull: Pull, world: World, base_url: str) -> dict[str, Any]:
    """A pull request with what only its own address tells."""
    is_open = pull.state == "open"
    return {
        **pull_json(pull, world, base_url),
        "merged": pull.merged_at is not None,
        "mergeable": True if is_open else None,
        "rebaseable": True if is_open else None,
        "mergeable_state": "clean" if is_open else "unknown",
        "merged_by": author_json(pull.merged_by, world, base_url) if pull.merged_by else None,
        "comments": 0,
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": 1,
        "additions": 1,
        "deletions": 0,
        "changed_files": 1,
    }


def _side(pull: Pull, world: World, base_url: str, *, ref: str, sha: str, fork: str | None) -> dict[str, Any]:
    repository = pull.repository
    owner = fork or repository.owner
    return {
        "label": f"{owner}:{ref}",
        "ref": ref,
        "sha": sha,
        "user": author_json(owner, world, base_url),
        "repo": whole_fork_json(repository, fork, base_url) if fork else repository_json(repository, base_url),
    }
