"""Runner folders for the tests, whose processes end with them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.runner_folders import RunnerHome


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator[Callable[..., RunnerHome]]:
    """`make_home(name, env)`: a configured runner that does not run yet."""
    made: list[RunnerHome] = []

    def make(name: str = "old-1", env: bytes | None = None) -> RunnerHome:
        home = RunnerHome(tmp_path / name, name)
        if env is not None:
            home.env.write_bytes(env)
        made.append(home)
        return home

    yield make
    for home in made:
        home.clean_up()
