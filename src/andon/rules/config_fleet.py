"""What `[[owner]]`, `[[pool]]` and `[[host]]` must satisfy together."""

import re
from collections.abc import Iterable, Iterator

from andon.model.config import Config, Owner, Pool
from andon.rules.config_finding import Finding, refused, warning
from andon.rules.config_workspace import check_workspace

MAX_LABELS = 100
"""GitHub takes no more custom labels for one runner."""
LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,98})")
"""A login, as GitHub takes it or took it once."""
_REPOSITORY = re.compile(r"(?P<owner>[A-Za-z0-9][A-Za-z0-9_-]*)/[A-Za-z0-9._-]{1,100}")


def check_fleet(config: Config) -> Iterator[Finding]:
    """Owners, pools and hosts."""
    yield from _twice("owner", "login", (owner.login for owner in config.owner), fold=True)
    for number, owner in enumerate(config.owner):
        yield from _check_owner(number, owner, app=config.github.app_id is not None)
    yield from _twice("pool", "name", (pool.name for pool in config.pool))
    for number, pool in enumerate(config.pool):
        yield from _check_pool(number, pool)
    yield from _twice("host", "name", (host.name for host in config.host))
    if not config.owner:
        yield warning("no [[owner]] is configured: nothing is watched until a webhook comes. Add [[owner]] tables.")
    elif not config.pool:
        yield warning("no [[pool]] is configured: no job can be served. Add [[pool]] tables.")


def _twice(table: str, key: str, names: Iterable[str], *, fold: bool = False) -> Iterator[Finding]:
    """A finding for each name that an earlier table has; `fold`: GitHub's names ignore case."""
    seen: set[str] = set()
    for number, name in enumerate(names):
        same = name.lower() if fold else name
        if same in seen:
            yield refused(
                f'{key} "{name}" is given to two [[{table}]] tables. Join them, or rename one.', table, number, key
            )
        seen.add(same)


def _check_owner(number: int, owner: Owner, *, app: bool) -> Iterator[Finding]:
    at = ("owner", number)
    if not LOGIN.fullmatch(owner.login):
        yield refused(f'login "{owner.login}" is no GitHub login. Write the owner\'s login alone.', *at, "login")
    if not owner.weight > 0:
        yield refused(f"weight is {owner.weight:g}. Set it to more than 0.", *at, "weight")
    if owner.max_slots is not None and owner.max_slots < 0:
        yield refused(f"max_slots is {owner.max_slots}. Set 0 or more, or leave it out.", *at, "max_slots")
    for name in owner.repositories:
        if sentence := _misplaced(name, owner.login):
            yield refused(sentence, *at, "repositories")
    if not owner.repositories and not app:
        yield warning(
            f'owner "{owner.login}" lists no repositories: with a token only its webhooks are seen and nothing is '
            "swept. List them.",
            *at,
        )
    for place, repository in enumerate(owner.repository):
        where = (*at, "repository", place)
        if sentence := _misplaced(repository.name, owner.login):
            yield refused(sentence, *where, "name")
        if repository.max_job_minutes is not None and not repository.max_job_minutes > 0:
            yield refused(
                f"max_job_minutes is {repository.max_job_minutes:g}. Set it to more than 0, or leave it out.",
                *where,
                "max_job_minutes",
            )


def _misplaced(name: str, login: str) -> str | None:
    found = _REPOSITORY.fullmatch(name)
    if found is None:
        return f'"{name}" is no repository. Write it as "{login}/NAME".'
    if found["owner"].lower() != login.lower():
        return f'"{name}" is not a repository of owner "{login}". Move it to its own [[owner]].'
    return None


def _check_pool(number: int, pool: Pool) -> Iterator[Finding]:
    at = ("pool", number)
    if not pool.name.strip():
        yield refused("a pool's name is empty. Name it.", *at, "name")
    if not pool.labels:
        yield refused(f'pool "{pool.name}" has no labels. Give it the labels that its runners carry.', *at, "labels")
    if any(not label.strip() for label in pool.labels):
        yield refused(f'pool "{pool.name}" has an empty label. Take it out.', *at, "labels")
    if len(pool.labels) > MAX_LABELS:
        yield refused(
            f'pool "{pool.name}" has {len(pool.labels)} labels; GitHub takes {MAX_LABELS} for a runner. Use fewer.',
            *at,
            "labels",
        )
    if pool.trust == "listed" and not pool.repositories:
        yield refused(
            f'pool "{pool.name}" trusts "listed" repositories and lists none. Add repositories = ["owner/name"].',
            *at,
            "trust",
        )
    if not pool.registration_minutes > 0:
        yield refused(
            f"registration_minutes is {pool.registration_minutes:g}. Set it to more than 0.",
            *at,
            "registration_minutes",
        )
    for name in pool.repositories:
        if not _REPOSITORY.fullmatch(name):
            yield refused(f'"{name}" is no repository. Write it as "owner/name".', *at, "repositories")
    if pool.repositories and pool.trust != "listed":
        yield warning(
            f'repositories of pool "{pool.name}" are read with trust = "listed" only. Set that, or take them out.',
            *at,
            "repositories",
        )
    yield from check_workspace(pool.workspace, *at)
