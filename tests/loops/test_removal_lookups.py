"""Registrations that are to be removed together are asked about together (N3, R33; limits.md 3)."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.loops.test_lookups import asked
from tests.loops.test_registrations import connect, known_to_github, mint

DATABASES = ("sqlite",)
MANY = 12
"""Fewer than the outbox performs at once."""


async def order(world: Any, names: Iterable[str]) -> None:
    def work(tx: Any) -> None:
        for name in names:
            payload = {"owner": "acme", "repository": "acme/app", "name": name}
            tx.order("retire_runner", key=name, subject=f"clm_{name}", payload=payload)

    await world.store.write(work)
    world.calls.clear()


def removals(world: Any) -> int:
    return sum(number for (name, _), number in world.calls.items() if name.startswith("DELETE"))


async def results(world: Any) -> list[str]:
    query = "SELECT result FROM outbox WHERE kind = 'retire_runner' ORDER BY id"
    return list(await world.store.read(lambda connection: connection.exec_driver_sql(query).scalars().all()))


def test_many_are_asked_about_by_one_list(play: Any) -> None:
    async def story(world: Any) -> None:
        known_to_github(world)
        names = [f"andon-f-{number}" for number in range(MANY)]
        for name in names:
            mint(world, name)
        mint(world, "somebody-else")
        await order(world, [*names, "andon-f-gone"])
        await world.act()
        assert world.registrations() == {"somebody-else"}
        assert sum(asked(world).values()) == 1, asked(world)
        assert removals(world) == MANY
        assert await results(world) == ["removed"] * MANY + ["not registered"]

    play(story)


def test_one_is_asked_for_by_its_name(play: Any) -> None:
    async def story(world: Any) -> None:
        known_to_github(world)
        mint(world, "andon-f-1")
        for number in range(3):
            mint(world, f"other-{number}")
        await order(world, ["andon-f-1"])
        await world.act()
        assert "andon-f-1" not in world.registrations()
        assert sum(asked(world).values()) == 1

    play(story)


def test_that_a_list_of_several_pages_lacks_one_is_no_evidence(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages move while entries before them are removed."""

    async def story(world: Any) -> None:
        known_to_github(world)
        names = [f"andon-f-{number:03}" for number in range(120)]
        for name in names:
            mint(world, name)
        listed = world.fleet.github.list_runners

        async def moved(*of: Any, **how: Any) -> Any:
            got = await listed(*of, **how)
            return type(got)(items=tuple(each for each in got.items if each.name != names[3]), at=got.at)

        monkeypatch.setattr(world.fleet.github, "list_runners", moved)
        await order(world, names[:MANY])
        await world.act()
        assert not world.registrations() & set(names[:MANY])
        assert await results(world) == ["removed"] * MANY
        assert sum(asked(world).values()) == 3, "two pages, and the one that they lacked"

    play(story)


def test_a_list_that_fails_leaves_each_to_ask_by_itself(play: Any) -> None:
    async def story(world: Any) -> None:
        known_to_github(world)
        names = [f"andon-f-{number}" for number in range(3)]
        for name in names:
            mint(world, name)
        world.fault(kind="api_error", match={"endpoint": "GET */actions/runners"}, status=502, count=1)
        await order(world, names)
        await world.act()
        assert not world.registrations(), "the one list failed, and is not asked for again by each"
        assert sum(asked(world).values()) == 1 + 3

    play(story)


def test_a_busy_one_is_left_alone_whatever_the_list_says(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("taken")
        names = [f"andon-f-{number}" for number in range(3)]
        runners = [mint(world, name) for name in names]
        connect(world, runners[0])
        github = world.github
        github.execution.acquire(runners[0], runners[0].session.id, runners[0].assigned.id)
        await order(world, names)
        await world.act()
        assert world.registrations() == {names[0]}
        assert await results(world) == ["left alone: GitHub says that it is busy", "removed", "removed"]
        assert (job, "in_progress") in {(each["id"], each["status"]) for each in github.truth()["jobs"]}

    play(story)
