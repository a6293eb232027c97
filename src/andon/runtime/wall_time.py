"""The machine's clock as plain functions, for small programs that start often.

`andon.runtime.clock` imports asyncio, which costs a starting process about 40 ms; the stand-in
runner starts once a job and uses these instead.
"""

import time
from datetime import UTC, datetime


def now_utc() -> datetime:
    """The time of day, aware, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds that never go back; only differences mean something."""
    return time.monotonic()
