"""Which processes of a runner's folder live: its listener, its job processes, the scripts around it.

Told by program and folder, not by pid files. Whatever a job itself runs below the work folder is
none of them, whatever its name; what cannot be told counts as a job process (law 4).
"""

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from andon.agent.process_identity import all_pids, start_ticks

LISTENER = "Runner.Listener"
WORKER = "Runner.Worker"
_WRAPPERS = ("run.sh", "run-helper.sh", "runsvc.sh", "RunnerService.js", "update.sh")
_PROGRAMS = (LISTENER, WORKER, *_WRAPPERS)
_WORDS = 3
"""The program stands in one of the first words: behind an interpreter and perhaps one option of it."""
_WORKER_WORDS = 6
"""A job process is looked for further on: one too many holds us back, one too few costs a job."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process by its name for good within this boot."""

    pid: int
    start: int
    """Clock ticks since boot."""


class FolderSight(msgspec.Struct, frozen=True, kw_only=True):
    """What lives of one runner's folder."""

    listeners: tuple[Process, ...] = ()
    workers: tuple[Process, ...] = ()
    wrappers: tuple[Process, ...] = ()
    unclear: str | None = None
    """Why it cannot be told; then nothing may be done to the listener."""

    @property
    def busy(self) -> bool:
        """Whether a job process lives, or may."""
        return bool(self.workers) or self.unclear is not None


def folder_of(pid: int, folders: Iterable[Path]) -> Path | None:
    """Which of `folders` a runner's process is one of: for a hook's caller, whose ancestors are tried in turn."""
    named = _named(_command(pid))
    if named is None:
        return None
    places = _places(pid, named[0])
    return next((folder for folder in folders if any(_is_its_own(place, folder) for place in places)), None)


def look_at_folders(folders: Iterable[tuple[Path, int]]) -> dict[Path, FolderSight]:
    """One look at all processes for all `folders`, each with its owner's uid."""
    wanted = dict(folders)
    found: dict[Path, dict[str, list[Process]]] = {folder: {} for folder in wanted}
    unclear: dict[Path, str] = {}
    if not wanted:
        return {}
    for pid in all_pids():
        named = _named(_command(pid))
        start = start_ticks(pid) if named is not None else None
        if named is None or start is None:
            continue
        word, program = named
        places = _places(pid, word)
        if not places:
            uid = _owner(pid)
            for folder, owner in wanted.items():
                if uid in (owner, None) and program in (LISTENER, WORKER):
                    unclear[folder] = f"the folder of the process {pid} ({program}) cannot be read"
            continue
        for folder in wanted:
            if any(_is_its_own(place, folder) for place in places):
                found[folder].setdefault(program, []).append(Process(pid=pid, start=start))
                break
    return {
        folder: FolderSight(
            listeners=tuple(programs.get(LISTENER, ())),
            workers=tuple(programs.get(WORKER, ())),
            wrappers=tuple(one for name in _WRAPPERS for one in programs.get(name, ())),
            unclear=unclear.get(folder),
        )
        for folder, programs in found.items()
    }


def _named(words: list[str]) -> tuple[str, str] | None:
    """The word that names a runner's program, and the program."""
    for at, word in enumerate(words):
        program = _program(word)
        if program is not None and (at < _WORDS or program == WORKER):
            return word, program
    return None


def _program(word: str) -> str | None:
    name = word.rpartition("/")[2]
    return name if name in _PROGRAMS else None


def _command(pid: int) -> list[str]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in raw.split(b"\0", _WORKER_WORDS)[:_WORKER_WORDS]]


def _places(pid: int, word: str) -> list[str]:
    """The folders that the program can be said to stand in; empty: none can be told."""
    places: list[str] = []
    cwd = _link(pid, "cwd")
    if "/" in word:
        absolute = word if word.startswith("/") else f"{cwd}/{word}" if cwd else None
        if absolute is not None:
            places += [os.path.dirname(absolute), os.path.dirname(os.path.realpath(absolute))]  # noqa: PTH120
    elif cwd:
        places.append(cwd)
    exe = _link(pid, "exe")
    if exe and _program(exe.removesuffix(" (deleted)")):
        places.append(exe.rpartition("/")[0])
    return places


def _link(pid: int, name: str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/{name}")  # noqa: PTH115 (one for each process)
    except OSError:
        return None


def _is_its_own(place: str, folder: Path) -> bool:
    """Whether a program in `place` is one of the runner's: beside `run.sh`, or in `bin`, `bin.2.300.0`."""
    place = os.path.normpath(place)
    if place == str(folder):
        return True
    parent, _, name = place.rpartition("/")
    return parent == str(folder) and (name == "bin" or name.startswith("bin."))


def _owner(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None
