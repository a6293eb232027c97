"""Processes of others: whoever looks for users of a directory has to look at each of them."""

import contextlib
import os
import signal
from collections.abc import Generator


@contextlib.contextmanager
def crowd(many: int) -> Generator[None]:
    """So many processes that do nothing."""
    pids = [os.posix_spawn("/bin/sleep", ["sleep", "100000"], {}) for _ in range(many)]
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
