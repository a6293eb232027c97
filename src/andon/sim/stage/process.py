"""One of the fleet's programs: a real process that says when it is ready and is ended at the end."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from andon.agent.process_identity import lives, open_process, start_ticks
from andon.runtime.clock import Clock
from andon.runtime.environment import environment, without_secrets
from andon.runtime.errors import AndonError
from andon.runtime.files import write_atomically

_READY_S = 40.0
_END_S = 12.0
_PAUSE_S = 0.02
_LAST_WORDS_BYTES = 4000


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A process that must not outlive the fleet: its pid means nothing without its start."""

    pid: int
    start: int


class StageProcess:
    """`andon` with some arguments, in a session of its own, its log in a file."""

    def __init__(self, what: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.what = what
        self.pid = process.pid
        self._start = start_ticks(process.pid)
        self._process = process
        self._log = log

    @classmethod
    async def start(cls, what: str, arguments: Sequence[str], *, log: Path, module: str = "andon") -> "StageProcess":
        """Starts it; `what` is how it is called when something is wrong. Raises OSError."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", module, *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                # Our own settings (a server, a token) are not meant for the fleet's programs.
                env=without_secrets(environment()),
                # Ctrl-C reaches the command alone, which ends the others in order.
                start_new_session=True,
            )
        return cls(what, process, log)

    def recorded(self) -> Recorded | None:
        """What a later fleet needs to find it again; None when it is gone already."""
        return Recorded(pid=self.pid, start=self._start) if self._start is not None else None

    async def ready(self) -> dict[str, object]:
        """Its ready line. Raises AndonError with its last words when it ends before."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_READY_S):
                line = await self._process.stdout.readline()
                if not line:
                    await self._process.wait()
        except TimeoutError:
            raise AndonError(f"The {self.what} was not ready within {_READY_S:g} s. Its log: {self._log}") from None
        if not line:
            raise AndonError(self.obituary())
        return msgspec.json.decode(line, type=dict[str, object])

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.returncode is not None

    def obituary(self) -> str:
        """One sentence about its end."""
        with self._log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_WORDS_BYTES))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
        said = f": {lines[-1]}" if lines else "."
        return f"The {self.what} ended with exit code {self._process.returncode}{said} (log: {self._log})"

    async def end(self) -> None:
        """Asks it to end, and takes it away when it does not."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


def record(path: Path, processes: Sequence[StageProcess]) -> None:
    """Writes down who must be gone before another fleet may use this folder."""
    found = [one for process in processes if (one := process.recorded()) is not None]
    write_atomically(path, msgspec.json.encode(found), durable=False)


def recorded_in(path: Path) -> list[Recorded]:
    """Whom an earlier fleet wrote down there; nobody when it ended in order."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Recorded])
    except (OSError, msgspec.MsgspecError):
        return []


async def end_recorded(recorded: Sequence[Recorded], clock: Clock) -> None:
    """Ends what a fleet left that was itself ended by force; returns when all of it is gone."""
    for one in recorded:
        signal_process(one.pid, one.start, signal.SIGKILL)
    while any(lives(one.pid, one.start) for one in recorded):
        await clock.sleep(_PAUSE_S)


def signal_process(pid: int, start: int, number: signal.Signals) -> None:
    """Sends a signal to exactly the process that began at `start` ticks; nothing when it is gone."""
    file = open_process(pid, start)
    if file is None:
        return
    try:
        signal.pidfd_send_signal(file, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(file)
