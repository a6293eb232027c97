"""The filesystems that jobs and the agent of this host write to, and what each has left.

One that hangs (a network filesystem whose server is gone) holds up nobody: folders are looked at in a thread, one
that does not answer in time is left to that thread and not asked again until it is back, and meanwhile its
filesystem cannot be told (law 4).
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from andon.agent.leases.mounts import Mount, mount_of
from andon.rules.disk_marks import Room
from andon.runtime.clock import Clock
from andon.runtime.loop import Nudge, wait_for_nudge

LIMIT_S = 1.0
"""How long a look waits for an answer."""
_SAME_S = 60.0
"""How long a folder is taken to lie where it lay: meanwhile one folder of each filesystem is looked at."""


class Use(NamedTuple):
    """A folder that somebody writes to."""

    path: Path
    slots: frozenset[int]
    """The slots whose jobs, or whose runner's own logs, are written there."""


class Seen(NamedTuple):
    """What one folder showed."""

    mount: Mount
    room: Room


class Filesystem(NamedTuple):
    """One filesystem as it is now."""

    device: str
    """`major:minor`, the same wherever it is mounted, and for all subvolumes of a btrfs."""
    mount: str
    kind: str
    room: Room
    slots: frozenset[int]
    paths: frozenset[Path]


class Looked(NamedTuple):
    """What one look told."""

    found: tuple[Filesystem, ...]
    untold: tuple[Use, ...]
    """Folders whose filesystem did not answer."""


def room_at(path: str | Path) -> Room:
    """The room of the filesystem of `path`. Raises OSError."""
    found = os.statvfs(path)
    return Room(
        total=found.f_blocks * found.f_frsize,
        free=found.f_bavail * found.f_frsize,
        inodes=found.f_files,
        inodes_free=found.f_favail,
    )


def look_at(path: Path) -> Seen:
    """The filesystem that a folder lies on, or would lie on once it is made. May hang. Raises OSError."""
    while True:
        try:
            room = room_at(path)
            break
        except (FileNotFoundError, NotADirectoryError):
            if path == path.parent:
                raise
            path = path.parent
    mount = mount_of(path)
    if mount is None:
        raise OSError(f"{path}: its mount cannot be told")
    return Seen(mount, room)


class Filesystems:
    """`uses` gives the folders; `look_at` looks at one, and may hang."""

    def __init__(
        self,
        uses: Callable[[], Iterable[Use]],
        *,
        clock: Clock,
        look_at: Callable[[Path], Seen] = look_at,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._uses, self._clock, self._look_at, self._limit_s = uses, clock, look_at, limit_s
        self._thread: _Thread | None = None
        self._hanging: dict[Path, _Question] = {}
        self._mounts: dict[Path, Mount] = {}
        self._due = clock.monotonic()

    async def look(self) -> Looked:
        """Every filesystem that answers in time, each once."""
        uses = tuple(self._uses())
        paths = tuple(dict.fromkeys(use.path for use in uses))
        answers = await self._ask(self._to_ask(paths))
        self._mounts |= {path: seen.mount for path, seen in answers.items()}
        rooms = {seen.mount.device: seen.room for seen in answers.values()}
        found: dict[str, Filesystem] = {}
        untold: list[Use] = []
        for use in uses:
            mount = self._mounts.get(use.path)
            if mount is None or mount.device not in rooms:
                untold.append(use)
                continue
            one = found.get(mount.device) or Filesystem(
                mount.device, mount.point, mount.kind, rooms[mount.device], frozenset(), frozenset()
            )
            # The same name at every look, however many mounts show it.
            point = min(one.mount, mount.point, key=lambda name: (len(name), name))
            found[mount.device] = one._replace(mount=point, slots=one.slots | use.slots, paths=one.paths | {use.path})
        return Looked(tuple(found.values()), tuple(untold))

    def _to_ask(self, paths: Sequence[Path]) -> tuple[Path, ...]:
        """All of them from time to time; otherwise one of each filesystem, and those that are not known."""
        self._hanging = {path: question for path, question in self._hanging.items() if not question.over}
        if self._clock.monotonic() >= self._due:
            self._due = self._clock.monotonic() + _SAME_S
            self._mounts = {path: mount for path, mount in self._mounts.items() if path in self._hanging}
            return tuple(paths)
        known = {path: self._mounts[path].device for path in paths if path in self._mounts}
        first = {device: path for path, device in reversed(known.items())}
        return tuple(path for path in paths if path not in known or first[known[path]] == path)

    async def _ask(self, paths: Sequence[Path]) -> dict[Path, Seen]:
        asked = [path for path in paths if path not in self._hanging]
        told = await self._questioned([asked]) if asked else {}
        late = [path for path in asked if path not in told]
        if late:
            # One of them holds up the others, so each of these gets a thread of its own.
            told |= await self._questioned([[path] for path in late if path not in self._hanging])
        return {path: seen for path, seen in told.items() if seen is not None}

    async def _questioned(self, groups: Sequence[Sequence[Path]]) -> dict[Path, Seen | None]:
        """What they answer; None for one that cannot be looked at. What hangs is remembered and left out."""
        questions = [question for group in groups if (question := self._put(group)) is not None]
        deadline = self._clock.monotonic() + self._limit_s
        out: dict[Path, Seen | None] = {}
        for question in questions:
            await wait_for_nudge(question.answered, 0, self._clock, deadline - self._clock.monotonic())
            question.give_up()
            out |= question.answers
            stuck = next((path for path in question.paths if path not in question.answers), None)
            if stuck is not None and not question.over:
                self._hanging[stuck] = question
        return out

    def _put(self, paths: Sequence[Path]) -> "_Question | None":
        question = _Question(tuple(paths), self._look_at)
        try:
            if self._thread is None or not self._thread.idle:
                if self._thread is not None:
                    self._thread.end()
                self._thread = _Thread()
            self._thread.ask(question)
        except RuntimeError:
            # No process or thread can be started on this host.
            self._thread = None
            return None
        return question

    def close(self) -> None:
        """What hangs is left to itself."""
        if self._thread is not None:
            self._thread.end()


class _Question:
    """Folders to look at, one after the other."""

    def __init__(self, paths: tuple[Path, ...], look_at: Callable[[Path], Seen]) -> None:
        self.paths, self._look_at = paths, look_at
        self.answers: dict[Path, Seen | None] = {}
        self.answered = Nudge()
        self.over = self._given_up = False
        self._loop = asyncio.get_running_loop()

    def give_up(self) -> None:
        """The rest need not be asked; answers from now on are not taken."""
        self._given_up = True
        self.answers = dict(self.answers)

    def answer(self) -> None:
        """On the thread."""
        answers = self.answers
        for path in self.paths:
            if self._given_up:
                break
            try:
                answers[path] = self._look_at(path)
            except OSError:
                answers[path] = None
        self.over = True
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.answered)


class _Thread:
    """Answers questions. A daemon: one that hangs must not keep the agent from ending."""

    def __init__(self) -> None:
        self._questions: SimpleQueue[_Question | None] = SimpleQueue()
        self._last: _Question | None = None
        threading.Thread(target=self._run, name="statvfs", daemon=True).start()

    @property
    def idle(self) -> bool:
        """Whether it has answered all that it was asked."""
        return self._last is None or self._last.over

    def ask(self, question: _Question) -> None:
        self._last = question
        self._questions.put(question)

    def end(self) -> None:
        """Once it has answered."""
        self._questions.put(None)

    def _run(self) -> None:
        while (question := self._questions.get()) is not None:
            question.answer()
