"""Real filesystems for tests, and a loud skip where the machine cannot make one."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from andon.sim.stage.loop_filesystem import NotHere
from andon.sim.stage.loop_filesystem import loop_filesystem as made


@contextlib.contextmanager
def loop_filesystem(kind: str, mib: int, *options: str) -> Iterator[Path]:
    """A filesystem of `mib` MiB, mounted; everybody may enter it."""
    with contextlib.ExitStack() as stack:
        try:
            point = stack.enter_context(made(kind, mib, *options))
        except NotHere as error:
            pytest.skip(f"{'kernel' if error.kernel else 'NOT TESTED'}: {error}")
        yield point
