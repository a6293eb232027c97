"""Where something lives at GitHub: at a repository or at an organisation; and names as parts of a path."""

from urllib.parse import quote

import msgspec


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Where runners or hooks of some work are registered."""

    owner: str
    repository: str | None
    """As "owner/name"; None: at the organisation."""

    @property
    def path(self) -> str:
        """The part of the REST path before `/actions/runners` or `/hooks`."""
        return repository_path(self.repository) if self.repository else f"/orgs/{segment(self.owner)}"

    @property
    def template(self) -> str:
        """The same without names, for metrics."""
        return "/repos/{repo}" if self.repository else "/orgs/{org}"


def repository_scope(repository: str) -> Scope:
    """The scope of one repository, "owner/name"."""
    return Scope(owner=owner_of(repository), repository=repository)


def owner_of(repository: str) -> str:
    """The owner's login in "owner/name"."""
    return repository.partition("/")[0]


def repository_path(repository: str) -> str:
    """`/repos/owner/name`, quoted."""
    owner, _, name = repository.partition("/")
    return f"/repos/{segment(owner)}/{segment(name)}"


def segment(name: str) -> str:
    """A name as exactly one segment of a path, whatever it contains."""
    quoted = quote(name, safe="")
    # A segment of dots alone would be resolved away before it is sent.
    return quoted.replace(".", "%2E") if quoted.strip(".") == "" else quoted
