"""Does something as a user without rights, in a process of its own, when the tests run as root."""

import os
from collections.abc import Callable
from pathlib import Path

NOBODY = 65534


def as_nobody(place: Path, act: Callable[[], object]) -> None:
    """Calls `act` in `place` (use relative paths: what lies above may be root's); fails when it raises."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.chdir(place)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            act()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
