"""The event loop of programs that serve: the faster one where it is installed (the server extra)."""

import asyncio
from collections.abc import Callable


def fast_event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the loop, for `asyncio.Runner(loop_factory=...)`; None: the standard one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
