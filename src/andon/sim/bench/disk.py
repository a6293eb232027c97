"""Benchmark "disk": how fast there is room when there is none, on real filesystems made for it (host-facts.md 3).

On each of ext4, xfs and btrfs the agent's own guard keeps its ballast of 1 GiB, everything else is taken, a write is
refused, and the time counts until a GiB can be allocated; then a directory with 200,000 files below it is freed by the
rename that the keeper does. The decision that a directory may go is measured beside processes of others, each of which
has to be looked at: as many as where the bound comes from, and many more.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from andon.agent.disk.account import Share
from andon.agent.disk.ballast import Ballast
from andon.agent.disk.filesystems import Filesystems, Use
from andon.agent.disk.guard import Acts, Guard
from andon.agent.disk.seat import Seat
from andon.agent.trees.system_calls import sync_filesystem
from andon.agent.trees.trash import put_aside
from andon.model.config import Disk
from andon.runtime.clock import Clock, seconds_since_boot
from andon.runtime.errors import AndonError
from andon.runtime.ids import new_mark
from andon.runtime.loop import Nudge
from andon.sim.bench.figures import Figure, Result, figure
from andon.sim.bench.processor import busy
from andon.sim.bench.prune_decision import prune_decisions
from andon.sim.bench.silence import Silence
from andon.sim.stage.loop_filesystem import KINDS, NotHere, fill, give_back, loop_filesystem

USABLE_MS = 100.0
RENAME_MS = 20.0
DECISION_MS = 100.0
FILES = 200_000
PROCESSES, MANY_PROCESSES = 135, 1000
MIB = 102_500 + 10_000
"""Of a filesystem on which the ballast is a whole GiB."""
_IN_A_FOLDER = 1000
_USED = 0.95
"""The part of the ballast that is then allocated: filesystems keep some for themselves."""
_NO_BOUND = frozenset({"btrfs"})
"""There it is a transaction of the filesystem, however long that takes (host-facts.md 3)."""


async def bench_disk(
    *, rounds: int, clock: Clock, say: Callable[[str], None], files: int = FILES, mib: int = MIB
) -> Result:
    """`rounds` times each. Raises AndonError where nothing can be measured."""
    load, figures, missing = busy(), list[Figure](), list[str]()
    for kind in KINDS:
        try:
            with loop_filesystem(kind, mib, *_options(kind, files)) as point:
                usable, dropped = await _rooms(point, rounds, clock)
                bound = None if kind in _NO_BOUND else USABLE_MS
                figures.append(figure(f"{kind}: refused write to 1 GiB", usable, "ms", bound=bound, at_least=False))
                figures.append(figure(f"{kind}: ballast alone", dropped, "ms"))
                say(f"{kind}: {files} files are made")
                times = await asyncio.to_thread(_renames, point, files, rounds, clock)
                name = f"{kind}: {files} files freed by rename"
                figures.append(figure(name, times, "ms", bound=RENAME_MS, at_least=False))
        except NotHere as error:
            missing.append(f"not {kind}: {error}")
    if not figures:
        raise AndonError(f"Nothing was measured ({'; '.join(missing)}).")
    for processes in (PROCESSES, MANY_PROCESSES):
        decisions = await prune_decisions(rounds * 10, clock, processes=processes)
        bound = DECISION_MS if processes == PROCESSES else None
        name = f"decision beside {processes} processes"
        figures.append(figure(name, decisions, "ms", bound=bound, at_least=False))
    return Result(bench="disk", conditions="; ".join((f"{rounds} rounds, {load}", *missing)), figures=tuple(figures))


def _options(kind: str, files: int) -> tuple[str, ...]:
    return ("-N", str(files + 100_000)) if kind == "ext4" else ()


async def _rooms(point: Path, rounds: int, clock: Clock) -> tuple[list[float], list[float]]:
    """From the refused write, and of that the ballast's part."""
    usable: list[float] = []
    dropped: list[float] = []
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as place:
        for _ in range(rounds):
            # What the last round gave back shows on btrfs only then.
            await asyncio.to_thread(_settle, point)
            ballast = _Timed(point / "ballast", clock)
            guard = _guard(point, ballast, Path(place) / "seat", clock)
            running = asyncio.ensure_future(guard.loop.run())
            try:
                await guard.loop.passes.wait_beyond(0)
                size = ballast.size()
                if size == 0:
                    raise AndonError(f"{point}: the guard made no ballast, so nothing was measured.")
                filler = fill(point)
                began = clock.monotonic()
                seen = guard.loop.passes.version
                guard.no_room()
                await guard.loop.passes.wait_beyond(seen)
                used = await asyncio.to_thread(_allocate, point / "used", int(size * _USED))
                usable.append((clock.monotonic() - began) * 1000)
                dropped.append(ballast.took_ms)
                give_back(used)
                give_back(filler)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                guard.close()
    return usable, dropped


class _Timed(Ballast):
    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, Silence())
        self._clock, self.took_ms = clock, 0.0

    def drop(self) -> int:
        began = self._clock.monotonic()
        size = super().drop()
        if size:
            self.took_ms = (self._clock.monotonic() - began) * 1000
        return size


def _guard(home: Path, ballast: Ballast, seat: Path, clock: Clock) -> Guard:
    def nothing() -> None:
        """There is nothing but the ballast."""

    return Guard(
        Filesystems(lambda: (Use(home, frozenset()),), clock=clock),
        ballast,
        Seat(seat, Silence()),
        home,
        Disk(),
        Acts(make_room=nothing, empty_trash=nothing),
        mode=lambda: "act",
        share_of=lambda device: Share(),
        busy=lambda: False,
        up_s=seconds_since_boot,
        changed=Nudge(),
        clock=clock,
        log=Silence(),
    )


def _settle(point: Path) -> None:
    folder = os.open(point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_filesystem(folder)
    finally:
        os.close(folder)


def _allocate(path: Path, size: int) -> Path:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(file, 0, size)
    finally:
        os.close(file)
    return path


def _renames(point: Path, files: int, rounds: int, clock: Clock) -> list[float]:
    tree, trash = point / "run", point / "trash"
    trash.mkdir()
    for number in range(0, files, _IN_A_FOLDER):
        folder = tree / str(number)
        folder.mkdir(parents=True)
        for name in range(min(_IN_A_FOLDER, files - number)):
            os.close(os.open(folder / str(name), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    _settle(point)
    found = tree.stat()
    times: list[float] = []
    for _ in range(rounds):
        name = new_mark()
        began = clock.monotonic()
        if put_aside(tree, (found.st_dev, found.st_ino), trash, name) is not None:
            raise AndonError(f"{tree}: it could not be put aside, so nothing was measured.")
        times.append((clock.monotonic() - began) * 1000)
        (trash / name).rename(tree)
    return times
