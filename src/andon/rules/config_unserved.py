"""Keys that are accepted, so that files for later versions load, and that this version does not act on.

Each is a warning: silence would be a promise that is not kept.
"""

from collections.abc import Iterator

from andon.model.config import Agent, Config, Owner, Pool
from andon.rules.config_finding import Finding, KeyPath, warning


def check_unserved(config: Config) -> Iterator[Finding]:
    """A warning for each such key that is set to something else than its default."""
    for number, owner in enumerate(config.owner):
        yield from _of_owner(("owner", number), owner)
    for number, pool in enumerate(config.pool):
        yield from _of_pool(("pool", number), pool)
    if config.agent is not None:
        yield from _of_agent(config.agent)
    for number, host in enumerate(config.host):
        for lever in ("reboot", "replace"):
            if getattr(host, lever):
                yield _unserved(f"the lever {lever}", "host", number, lever)
    for number, _ in enumerate(config.bar):
        yield _unserved("[[bar]]", "bar", number)


def _unserved(what: str, *path: str | int) -> Finding:
    return warning(f"{what} is not acted on by this version yet. Leave it, or take it out.", *path)


def _of_owner(at: KeyPath, owner: Owner) -> Iterator[Finding]:
    if owner.weight != 1:
        yield _unserved("weight", *at, "weight")
    for number, repository in enumerate(owner.repository):
        where = (*at, "repository", number)
        if repository.priority:
            yield _unserved("priority", *where, "priority")
        for place, _ in enumerate(repository.lane):
            yield _unserved("[[owner.repository.lane]]", *where, "lane", place)


def _of_pool(at: KeyPath, pool: Pool) -> Iterator[Finding]:
    if pool.workspace.base != "none":
        yield _unserved("base", *at, "workspace", "base")
    for number, _ in enumerate(pool.probe):
        yield _unserved("[[pool.probe]]", *at, "probe", number)


def _of_agent(agent: Agent) -> Iterator[Finding]:
    if agent.isolation == "required":
        yield _unserved('isolation = "required"', "agent", "isolation")
