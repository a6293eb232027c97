"""Which repositories are swept: those that the configuration names, and of an owner who names none
all that the App's installation sees (interfaces.md section 1).
"""

from andon.github.outcomes import Failed
from andon.loops.fleet import Fleet

REFRESH_S = 600.0
"""How often an installation is asked for its repositories; the list rarely changes."""


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
            self._ask_at = now + REFRESH_S
            await self._refresh()
        found = (name for names in self._found.values() for name in names)
        return tuple(dict.fromkeys((*self._fleet.repositories(), *found)))

    async def _refresh(self) -> None:
        if self._fleet.config.github.app_id is None:
            return
        for owner in self._fleet.config.owner:
            if owner.repositories:
                continue
            got = await self._fleet.github.installation_repositories(owner.login)
            if isinstance(got, Failed):
                self._fleet.log.warning(
                    "sweep.repositories_unknown", owner=owner.login, failure=got.kind.value, message=got.message
                )
                continue
            names = tuple(repository.full_name for repository in got.items)
            if names != self._found.get(owner.login):
                self._fleet.log.info("sweep.repositories", owner=owner.login, count=len(names))
            self._found[owner.login] = names
