"""A process that ends by SIGKILL at its n-th step: before or after any call that changes a file.

The story runs in a fork, so what it leaves is what a really ended process leaves: no `finally` of it runs, its
locks are let go by the kernel. A power cut's lost pages are not part of it.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from itertools import count
from types import FrameType
from typing import Any

CHANGES = frozenset(
    {"mkdir", "rename", "replace", "unlink", "remove", "rmdir", "pwrite", "write", "posix_fallocate", "ftruncate"}
    | {"fchown", "chown", "fchmod", "chmod", "fsync", "flock", "link", "symlink"}
)
"""Names of functions in C; `rename_to_new` is Python's beside them."""
_OWN = "rename_to_new"
_SAME = 4
"""How many steps in a row of one function called from one line are tried: a stock of files is filled by many."""


class Cut:
    """What became of one run."""

    def __init__(self, step: str | None, said: list[str]) -> None:
        self.step, self.said = step, said
        """`step`: where it was cut; None: it came to its end."""


def cut_at(number: int, story: Callable[[Callable[[str], None]], None]) -> Cut:
    """Runs `story(say)` in a process of its own that ends at step `number`, from 0 on.

    What it said before stands in the answer. Raises AssertionError when it failed by itself.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _play(number, story, write)
    os.close(write)
    with os.fdopen(read, "r", errors="replace") as told:
        lines = told.read().splitlines()
    _, status = os.waitpid(child, 0)
    step = next((line.removeprefix("cut ") for line in lines if line.startswith("cut ")), None)
    wanted = signal.SIGKILL if step is not None else 0
    assert status == wanted, "\n".join(lines)
    return Cut(step, [line for line in lines if not line.startswith("cut ")])


def _play(number: int, story: Callable[[Callable[[str], None]], None], out: int) -> None:
    steps, seen, lock = count(), dict[tuple[object, ...], int](), threading.Lock()

    def tell(line: str) -> None:
        os.writev(out, [f"{line}\n".encode()])

    def watch(frame: FrameType, event: str, of: Any) -> None:
        if event in ("c_call", "c_return"):
            name = getattr(of, "__name__", "")
            if name not in CHANGES:
                return
        elif event in ("call", "return") and frame.f_code.co_name == _OWN:
            name = _OWN
        else:
            return
        key = (name, event, frame.f_code.co_filename, frame.f_lineno)
        with lock:
            seen[key] = seen.get(key, 0) + 1
            if seen[key] <= _SAME and next(steps) == number:
                file = frame.f_code.co_filename.rpartition("/")[2]
                tell(f"cut {'before' if 'call' in event else 'after'} {name} at {file}:{frame.f_lineno}")
                os.kill(os.getpid(), signal.SIGKILL)

    code = 0
    try:
        threading.setprofile(watch)
        sys.setprofile(watch)
        story(tell)
    except BaseException:
        sys.setprofile(None)
        tell(traceback.format_exc())
        code = 1
    os._exit(code)
