"""Repositories, users and times as GitHub's JSON shows them (field sets of its REST description)."""

from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from andon.sim.sandbox.records import Repository

_USER_PAGES = ("followers", "subscriptions", "organizations", "repos", "received_events")
_REPOSITORY_PAGES = {
    "archive": "{archive_format}{/ref}", "assignees": "{/user}", "blobs": "git/blobs{/sha}", "branches": "{/branch}",
    "collaborators": "{/collaborator}", "comments": "{/number}", "commits": "{/sha}", "compare": "{base}...{head}",
    "contents": "{+path}", "contributors": "", "deployments": "", "downloads": "", "events": "", "forks": "",
    "git_commits": "git/commits{/sha}", "git_refs": "git/refs{/sha}", "git_tags": "git/tags{/sha}", "hooks": "",
    "issue_comment": "issues/comments{/number}", "issue_events": "issues/events{/number}", "issues": "{/number}",
    "keys": "{/key_id}", "labels": "{/name}", "languages": "", "merges": "", "milestones": "{/number}",
    "notifications": "{?since,all,participating}", "pulls": "{/number}", "releases": "{/id}", "stargazers": "",
    "statuses": "{sha}", "subscribers": "", "subscription": "", "tags": "", "teams": "", "trees": "git/trees{/sha}",
}  # fmt: skip
"""Name of the address field and what follows the repository's address (a text without `/` follows the name)."""


def stamp(at: datetime | None) -> str | None:
    """A time as GitHub writes it: UTC, whole seconds, `Z`."""
    return None if at is None else f"{at.isoformat(timespec='seconds')[:19]}Z"


def fine_stamp(at: datetime | None) -> str | None:
    """A time with microseconds, for deliveries, steps and the truth."""
    return None if at is None else f"{at.isoformat(timespec='microseconds')[:26]}Z"


def user_json(login: str, user_id: int, base_url: str, *, kind: str = "User") -> dict[str, Any]:
    """A user or an organisation."""
    return dict(_user(login, user_id, base_url, kind))


@lru_cache(maxsize=256)
def _user(login: str, user_id: int, base_url: str, kind: str) -> dict[str, Any]:
    url = f"{base_url}/users/{login}"
    return {
        "login": login,
        "id": user_id,
        "node_id": f"U_sandbox{user_id}",
        "avatar_url": f"{base_url}/avatars/{user_id}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{base_url}/{login}",
        **{f"{page}_url": f"{url}/{page}" for page in _USER_PAGES},
        "following_url": f"{url}/following{{/other_user}}",
        "gists_url": f"{url}/gists{{/gist_id}}",
        "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
        "events_url": f"{url}/events{{/privacy}}",
        "type": kind,
        "site_admin": False,
    }


def repository_json(repository: Repository, base_url: str) -> msgspec.Raw:
    """The repository, encoded once: thousands of answers and deliveries carry the same bytes."""
    shown = repository.shown.get(base_url)
    if shown is None:
        shown = msgspec.Raw(
            msgspec.json.encode(
                _repository(
                    repository_id=repository.id,
                    owner=user_json(repository.owner, repository.owner_id, base_url, kind="Organization"),
                    name=repository.name,
                    base_url=base_url,
                    private=repository.private,
                    default_branch=repository.default_branch,
                    fork=False,
                )
            )
        )
        repository.shown[base_url] = shown
    return shown


def announced_repository_json(repository: Repository, base_url: str) -> msgspec.Raw:
    """The repository as a webhook tells of it."""
    kept = f"{base_url} announced"
    if kept not in repository.shown:
        repository.shown[kept] = msgspec.Raw(
            msgspec.json.encode({**msgspec.json.decode(repository_json(repository, base_url)), "custom_properties": {}})
        )
    return repository.shown[kept]


def lite_repository_json(repository: Repository, base_url: str) -> msgspec.Raw:
    """The repository as it is shown inside a run: the fields that need no look at its contents."""
    kept = f"{base_url} lite"
    if kept not in repository.shown:
        repository.shown[kept] = msgspec.Raw(
            msgspec.json.encode(
                _lite(
                    repository_id=repository.id,
                    owner=user_json(repository.owner, repository.owner_id, base_url, kind="Organization"),
                    name=repository.name,
                    base_url=base_url,
                    private=repository.private,
                    fork=False,
                )
            )
        )
    return repository.shown[kept]


def full_repository_json(repository: Repository, base_url: str, *, admin: bool = True) -> dict[str, Any]:
    """The repository as it is shown when it is asked for by itself; `admin`: the caller may do everything."""
    shown: dict[str, Any] = msgspec.json.decode(repository_json(repository, base_url))
    rights = {"admin": admin, "maintain": admin, "push": admin, "triage": admin, "pull": True}
    return {**shown, "permissions": rights, "network_count": 0, "subscribers_count": 0}


def whole_fork_json(repository: Repository, login: str, base_url: str) -> dict[str, Any]:
    """The fork of `repository` that belongs to `login`, as it is shown inside a pull request."""
    return _repository(
        repository_id=repository.id + 100_000_000,
        owner=user_json(login, repository.owner_id + 100_000_000, base_url),
        name=repository.name,
        base_url=base_url,
        private=repository.private,
        default_branch=repository.default_branch,
        fork=True,
    )


def fork_json(repository: Repository, login: str, base_url: str) -> dict[str, Any]:
    """The fork of `repository` that belongs to `login`, as it is shown inside a run."""
    return _lite(
        repository_id=repository.id + 100_000_000,
        owner=user_json(login, repository.owner_id + 100_000_000, base_url),
        name=repository.name,
        base_url=base_url,
        private=repository.private,
        fork=True,
    )


def _lite(
    *, repository_id: int, owner: dict[str, Any], name: str, base_url: str, private: bool, fork: bool
) -> dict[str, Any]:
    full_name = f"{owner['login']}/{name}"
    url = f"{base_url}/repos/{full_name}"
    html_url = f"{base_url}/{full_name}"
    pages: dict[str, str] = {}
    for page, rest in _REPOSITORY_PAGES.items():
        place = rest if rest.startswith("git/") or "comments{" in rest or "events{" in rest else page + _joined(rest)
        pages[f"{page}_url"] = f"{url}/{place}"
    return {
        "id": repository_id,
        "node_id": f"R_sandbox{repository_id}",
        "name": name,
        "full_name": full_name,
        "private": private,
        "owner": owner,
        "html_url": html_url,
        "description": None,
        "fork": fork,
        "url": url,
        **pages,
    }


def _repository(
    *,
    repository_id: int,
    owner: dict[str, Any],
    name: str,
    base_url: str,
    private: bool,
    default_branch: str,
    fork: bool,
) -> dict[str, Any]:
    lite = _lite(repository_id=repository_id, owner=owner, name=name, base_url=base_url, private=private, fork=fork)
    full_name, html_url = lite["full_name"], lite["html_url"]
    made = "2026-01-01T00:00:00Z"
    return {
        **lite,
        "created_at": made,
        "updated_at": made,
        "pushed_at": made,
        "git_url": f"git://sandbox/{full_name}.git",
        "ssh_url": f"git@sandbox:{full_name}.git",
        "clone_url": f"{html_url}.git",
        "svn_url": html_url,
        "mirror_url": None,
        "homepage": None,
        "size": 0,
        "stargazers_count": 0,
        "watchers_count": 0,
        "language": None,
        "has_issues": True,
        "has_projects": True,
        "has_downloads": True,
        "has_wiki": True,
        "has_pages": False,
        "has_discussions": False,
        "forks_count": 0,
        "archived": False,
        "disabled": False,
        "open_issues_count": 0,
        "license": None,
        "allow_forking": True,
        "is_template": False,
        "web_commit_signoff_required": False,
        "topics": [],
        "visibility": "private" if private else "public",
        "forks": 0,
        "open_issues": 0,
        "watchers": 0,
        "default_branch": default_branch,
    }


def _joined(rest: str) -> str:
    return rest if not rest or rest.startswith(("{/", "{?")) else f"/{rest}"
