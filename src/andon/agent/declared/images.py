"""Images of container engines, pruned by the engine's own command: what an image is made of only the engine knows.

Always with an age, never volumes, containers or the build cache, and only while no job runs on this host. What became
free is what the filesystem says, and not what the engine prints.
"""

import asyncio
import contextlib
import math
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping
from pathlib import Path

from andon.agent.declared.things import Thing
from andon.agent.disk.filesystems import room_at
from andon.agent.disk.removals import Intent
from andon.model.config import Images
from andon.model.disk import PathClass
from andon.rules.disk_plan import Rank
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger

LIMIT_S = 600.0
"""How long the engine may take: one whose daemon hangs holds up nothing else."""
AGAIN_S = 3600.0
"""Between two prunes: what an engine could not give up now it will not in a minute."""
_PLACES = {"docker": "/var/lib/docker", "podman": "/var/lib/containers"}
_MOST_SAID = 200


class EngineImages:
    """`declared` are those of the configuration; `intend` writes down what goes, `passed` hears how many bytes more
    are free on the filesystem of a folder."""

    def __init__(
        self,
        declared: tuple[Images, ...],
        intend: Callable[[Thing, str], Intent],
        *,
        passed: Callable[[Path, int, int], None],
        environ: Mapping[str, str],
        nonce: Callable[[], str],
        clock: Clock,
        log: Logger,
    ) -> None:
        self._declared = {f"images of {one.engine}": one for one in reversed(declared)}
        self._intend, self._passed, self._environ, self._nonce = intend, passed, environ, nonce
        self._clock, self._log = clock, log
        self._due: dict[str, float] = {}
        self.troubles: dict[str, tuple[Path, str]] = {}
        """By engine's images: where they are, and why the last prune could not be done, in one sentence."""

    def places(self) -> tuple[Path, ...]:
        """Where the engines keep them, if they are there."""
        return tuple(_place(one) for one in self._declared.values())

    def due(self) -> tuple[Thing, ...]:
        """Those that may be pruned now. Blocks a little."""
        now = self._clock.monotonic()
        found = (_thing(id, one) for id, one in self._declared.items() if now >= self._due.get(id, now))
        return tuple(one for one in found if one is not None)

    async def prune(self, thing: Thing) -> None:
        """Lets the engine prune its images; what hinders that is in `troubles`. Raises OSError for the journal's sake:
        what cannot be written down does not go."""
        images = self._declared[thing.id]
        self._due[thing.id] = self._clock.monotonic() + AGAIN_S
        program = shutil.which(images.engine, path=self._environ.get("PATH"))
        if program is None:
            self._say(
                thing,
                f"{images.engine} is not found on the agent's PATH: install it, or take it out of [agent.disk].",
            )
            return
        before, name = room_at(thing.path).free, f"images.{self._nonce()}"
        intent = self._intend(thing, name)
        # From here on images may be gone, whatever becomes of the command or of us.
        intent.settle(True)
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *arguments(images),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
                env=dict(self._environ),
                start_new_session=True,
            )
        except OSError as error:
            intent.settle(False)
            self._say(thing, f"{program} cannot be started ({error.strerror}).")
            return
        trouble = await self._finish(process, images)
        freed = room_at(thing.path).free - before
        intent.gone(max(0, freed))
        self._passed(thing.path, 1, freed)
        if trouble is None:
            self.troubles.pop(thing.id, None)
            self._log.info("images.pruned", engine=images.engine, freed=freed)
        else:
            self._say(thing, trouble)

    async def _finish(self, process: Process, images: Images) -> str | None:
        """Waits for its end; the sentence that says what was wrong."""
        reading = asyncio.ensure_future(process.communicate())
        stop = asyncio.get_running_loop().create_future()
        call_off = self._clock.after(LIMIT_S, lambda: stop.done() or stop.set_result(None))
        try:
            await asyncio.wait({reading, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return f"{images.engine} did not finish pruning images within {LIMIT_S / 60:g} minutes; it was ended."
            said = _last_line(reading.result()[1])
            if process.returncode == 0:
                return None
            return f"{images.engine} could not prune images (exit {process.returncode}{f': {said}' if said else ''})."
        finally:
            call_off()
            stop.cancel()
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            await asyncio.gather(reading, return_exceptions=True)

    def _say(self, thing: Thing, trouble: str) -> None:
        """Once for each trouble, not once an hour."""
        if self.troubles.get(thing.id) != (thing.path, trouble):
            self.troubles[thing.id] = thing.path, trouble
            self._log.warning("images.not_pruned", reason=trouble)


def arguments(images: Images) -> tuple[str, ...]:
    """What the engine is told. `--all` never stands without an age."""
    age = ("--filter", f"until={math.ceil(images.older_hours)}h")
    return ("image", "prune", "--force", *age, *(("--all",) if images.all else ()))


def _place(images: Images) -> Path:
    return Path(images.path or _PLACES[images.engine])


def _thing(id: str, images: Images) -> Thing | None:
    """None: this host keeps no images of that engine."""
    path = _place(images)
    try:
        found = path.stat()
    except OSError:
        return None
    what = "that no container uses" if images.all else "without a name"
    return Thing(
        id=id,
        path=path,
        identity=(found.st_dev, found.st_ino),
        home=path,
        rank=Rank.IMAGES,
        path_class=PathClass.CACHE,
        owner=id,
        why=f"images {what}, made more than {images.older_hours:g} hours ago",
        uid=found.st_uid,
        bytes=None,
        used_at=0.0,
    )


def _last_line(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").strip().splitlines()
    text = lines[-1] if lines else ""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:_MOST_SAID].rstrip(".")
