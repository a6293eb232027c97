"""What the tests of the store share."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest


@pytest.fixture
def together() -> Callable[..., list[object]]:
    """Runs functions at the same moment, each in a thread of its own; gives what they gave."""

    def run(*functions: Callable[[], object]) -> list[object]:
        barrier = threading.Barrier(len(functions))

        def one(function: Callable[[], object]) -> object:
            barrier.wait()
            return function()

        with ThreadPoolExecutor(len(functions)) as pool:
            return list(pool.map(one, functions))

    return run
