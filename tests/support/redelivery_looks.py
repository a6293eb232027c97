"""The redelivery loop in a played fleet, pass by pass, with the executor of what it orders."""

from collections import Counter
from typing import Any

import msgspec

from andon.loops.redelivery import Redelivery
from andon.model.config import Config, Owner, Rails
from andon.rules.rails import CAPS
from andon.rules.redelivery import PERIOD_S
from andon.store import journal
from tests.support.builders import a_config, a_pool
from tests.support.played_hooks import ADDRESS

REPOSITORIES: Config = a_config(pool=(a_pool(),), owner=(Owner(login="acme", repositories=("acme/app",)),))
OBSERVING: Config = msgspec.structs.replace(REPOSITORIES, rails=Rails(mode="observe"))
CAP = CAPS["redelivery"].least  # pyright: ignore[reportArgumentType, reportOptionalMemberAccess]


class Looking:
    """The loop, and the executor of what it orders."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.loop = Redelivery(world.fleet, ADDRESS)

    async def look(self) -> float | None:
        """One pass, and everything that it ordered."""
        pause = await self.loop.run_once()
        for _ in range(10):
            await self.world.act()
        return pause

    async def later(self, seconds: float = PERIOD_S) -> float | None:
        """A pass when the next is due."""
        await self.world.pass_time(seconds)
        return await self.look()

    def starts_again(self) -> None:
        """Another start of the control plane: nothing that was only remembered is left."""
        self.world.configure(self.world.config)
        self.loop = Redelivery(self.world.fleet, ADDRESS)


def requests(world: Any) -> int:
    return sum(n for call, n in world.github.truth()["calls"].items() if "/attempts " in call)


async def kinds(world: Any) -> Counter[str]:
    lines = await world.store.read(lambda connection: journal.newest(connection, 500))
    return Counter(line.entry.kind for line in lines)


async def pages(world: Any) -> int:
    return sum(n for call, n in world.github.truth()["calls"].items() if "/deliveries " in call)
