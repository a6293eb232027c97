"""A thread for long walks over a disk: it reads and writes when nobody else does (host-facts.md 1.4)."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

from andon.agent.trees.system_calls import use_idle_disk_time


def idle_thread(name: str) -> ThreadPoolExecutor:
    """One thread, called so, at idle disk priority where the kernel has that."""
    return ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_gently)


def _gently() -> None:
    with contextlib.suppress(OSError):
        use_idle_disk_time()
