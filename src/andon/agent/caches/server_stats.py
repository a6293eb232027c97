"""What a cache's server says of itself: `sccache --show-stats --stats-format json`, asked as one of its clients.

A client that reaches no server prints numbers of its own folder instead, so the answer must name ours.
"""

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import msgspec

from andon.agent.caches.cache_folder import INSIDE
from andon.agent.caches.server_start import ServerUser
from andon.rules.cache_window import Lookups

LIMIT_S = 5.0
_MOST_BYTES = 1 << 20


class ServerStats(msgspec.Struct, frozen=True, kw_only=True):
    """Counted since its start; sizes in bytes."""

    lookups: Lookups
    size: int | None
    """None: nothing was asked of it since its start, and it has not looked."""
    cap: int


class _Counted(msgspec.Struct):
    counts: dict[str, int] = {}


class _Stats(msgspec.Struct):
    cache_hits: _Counted
    cache_misses: _Counted


class _Answer(msgspec.Struct):
    stats: _Stats
    cache_location: str
    cache_size: int | None = None
    max_cache_size: int | None = None


def read_stats(text: bytes) -> ServerStats | None:
    """None: no answer of a server of ours."""
    try:
        told = msgspec.json.decode(text, type=_Answer)
    except msgspec.MsgspecError:
        return None
    if INSIDE not in told.cache_location or told.max_cache_size is None:
        return None
    return ServerStats(
        lookups=Lookups(
            hits=sum(told.stats.cache_hits.counts.values()), misses=sum(told.stats.cache_misses.counts.values())
        ),
        size=told.cache_size,
        cap=told.max_cache_size,
    )


async def ask_server(program: str, door: Path, user: ServerUser) -> ServerStats | None:
    """None: nobody answered as one of ours does, within `LIMIT_S`."""
    try:
        asking = await asyncio.create_subprocess_exec(
            program,
            "--show-stats",
            "--stats-format",
            "json",
            env={"PATH": "/usr/bin:/bin", "SCCACHE_SERVER_UDS": str(door), "SCCACHE_CONF": "/dev/null"},
            cwd="/",
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=DEVNULL,
            **user.as_options(),  # pyright: ignore[reportArgumentType]
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(LIMIT_S):
            assert asking.stdout is not None
            text = await asking.stdout.read(_MOST_BYTES)
            await asking.wait()
    except TimeoutError:
        return None
    finally:
        if asking.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                asking.kill()
            await asking.wait()
    return read_stats(text)
