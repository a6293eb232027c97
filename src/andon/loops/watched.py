"""Which repositories are swept: those that the configuration names, and of an owner who names none
all that the App's installation sees (interfaces.md section 1).
"""

from andon.github.outcomes import Failed
from andon.loops.fleet import Fleet

REFRESH_S = 600.0
"""How often an installation is asked for its repositories; the list rarely changes."""
AGAIN_S = 20.0
"""How soon it is asked again when a question failed: until then an owner may have no repositories."""


class Watched:
    """The repositories as last known; a failed question changes nothing (law 4)."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._found: dict[str, tuple[str, ...]] = {}
        self._ask_at = 0.0

    async def names(self) -> tuple[str, ...]:
        """Every repository to sweep, each once."""
        now = self._fleet.clock.monotonic()
        if now >= self._ask_at:
            self._ask_at = now + AGAIN_S
            if await self._refresh():
                self._ask_at = now + REFRESH_S
        found = (name for names in self._found.values() for name in names)
        return tuple(dict.fromkeys((*self._fleet.repositories(), *found)))

    async def _refresh(self) -> bool:
        """Asks for every such owner; whether all answered."""
        if self._fleet.config.github.app_id is None:
            return True
        answered = True
        for owner in self._fleet.config.owner:
            if owner.repositories:
                continue
            got = await self._fleet.github.installation_repositories(owner.login)
            if isinstance(got, Failed):
                self._fleet.log.warning(
                    "sweep.repositories_unknown", owner=owner.login, failure=got.kind.value, message=got.message
                )
                answered = False
                continue
            names = tuple(repository.full_name for repository in got.items)
            if names != self._found.get(owner.login):
                self._fleet.log.info("sweep.repositories", owner=owner.login, count=len(names))
            self._found[owner.login] = names
        return answered
