"""What a test needs beyond Python: found, or skipped with the reason.

With ANDON_TEST_SKIPS=kernel (as in `.ci/run`, which installs packages first) only what the kernel
lacks may be skipped; anything else that is missing fails.
"""

import os
import shutil
from typing import NoReturn

import pytest


def lacking(what: str, why: str, *, kernel: bool = False) -> NoReturn:
    """Skips loudly, or fails where this may not be skipped."""
    if os.environ.get("ANDON_TEST_SKIPS") == "kernel" and not kernel:
        pytest.fail(f"{what} is missing and may not be skipped here: {why}")
    pytest.skip(f"{what}: {why}")


def program(name: str, *, why: str) -> str:
    """The path of a program on PATH."""
    found = shutil.which(name)
    if found is None:
        lacking(name, f"not on PATH; {why}")
    return found


def root(*, why: str) -> None:
    """Needs the rights of root."""
    if os.geteuid() != 0:
        lacking("root", why)
