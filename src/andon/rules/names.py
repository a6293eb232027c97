"""Which names are accepted: they become parts of runner names and of paths below an agent's root."""

import re

from andon.model.config import Config

HOST_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
"""A host's name."""


def canonical_repository(config: Config, name: str) -> str:
    """A repository's name as the configuration spells it, if it does: GitHub ignores case, and caps
    and lists must not be missed for it."""
    login, _, rest = name.partition("/")
    wanted = name.lower()
    for owner in config.owner:
        if owner.login.lower() == login.lower():
            named = (*owner.repositories, *(known.name for known in owner.repository))
            return next((each for each in named if each.lower() == wanted), f"{owner.login}/{rest}")
    return name
