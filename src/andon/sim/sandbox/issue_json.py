"""Issues and comments as GitHub's JSON shows them."""

from typing import Any

from andon.sim.sandbox.issues import Comment, Issue
from andon.sim.sandbox.repository_json import stamp, user_json
from andon.sim.sandbox.world import World

_REACTIONS = ("+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes")


def issue_json(issue: Issue, world: World, base_url: str) -> dict[str, Any]:
    """An issue."""
    repository = issue.repository
    repository_url = f"{base_url}/repos/{repository.full_name}"
    url = f"{repository_url}/issues/{issue.number}"
    assignees = [author_json(login, world, base_url) for login in issue.assignees]
    return {
        "id": issue.id,
        "node_id": issue.node_id,
        "url": url,
        "repository_url": repository_url,
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "html_url": f"{base_url}/{repository.full_name}/issues/{issue.number}",
        "number": issue.number,
        "state": issue.state,
        "state_reason": issue.state_reason,
        "title": issue.title,
        "body": issue.body,
        "user": author_json(issue.author, world, base_url),
        "labels": [label_json(name, repository_url) for name in issue.labels],
        "assignee": assignees[0] if assignees else None,
        "assignees": assignees,
        "milestone": None,
        "locked": False,
        "active_lock_reason": None,
        "comments": len(issue.comments),
        "closed_at": stamp(issue.closed_at),
        "closed_by": author_json(issue.closed_by, world, base_url) if issue.closed_by else None,
        "created_at": stamp(issue.created_at),
        "updated_at": stamp(issue.updated_at),
        "author_association": "MEMBER",
        "reactions": _reactions(url),
        "timeline_url": f"{url}/timeline",
        "performed_via_github_app": None,
    }


def comment_json(comment: Comment, world: World, base_url: str) -> dict[str, Any]:
    """A comment of an issue."""
    issue = comment.issue
    name = issue.repository.full_name
    url = f"{base_url}/repos/{name}/issues/comments/{comment.id}"
    return {
        "id": comment.id,
        "node_id": f"IC_sandbox{comment.id}",
        "url": url,
        "html_url": f"{base_url}/{name}/issues/{issue.number}#issuecomment-{comment.id}",
        "issue_url": f"{base_url}/repos/{name}/issues/{issue.number}",
        "body": comment.body,
        "user": author_json(comment.author, world, base_url),
        "created_at": stamp(comment.created_at),
        "updated_at": stamp(comment.updated_at),
        "author_association": "MEMBER",
        "reactions": _reactions(url),
        "performed_via_github_app": None,
    }


def author_json(login: str, world: World, base_url: str) -> dict[str, Any]:
    """A user; an App's own account is a bot."""
    return user_json(login, world.owner_id(login), base_url, kind="Bot" if login.endswith("[bot]") else "User")


def label_json(name: str, repository_url: str) -> dict[str, Any]:
    """A label of issues."""
    number = 208_000_000 + sum(name.encode()) % 1_000_000
    return {
        "id": number,
        "node_id": f"LA_sandbox{number}",
        "url": f"{repository_url}/labels/{name}",
        "name": name,
        "description": None,
        "color": "ededed",
        "default": False,
    }


def _reactions(url: str) -> dict[str, Any]:
    return {"url": f"{url}/reactions", "total_count": 0, **dict.fromkeys(_REACTIONS, 0)}
