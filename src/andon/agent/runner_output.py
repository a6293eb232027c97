"""Keeps a runner's output flowing when its shim is gone: a pipe that nobody reads ends its writer.

While the shim lives the reading end is only held open. Afterwards what the runner says is dropped,
except how far it came: without its order we could not hide the JIT config in it (R26).
"""

import asyncio
import os
import stat
from collections.abc import Callable

from andon.agent.claim_record import Phase

_CHUNK = 1 << 16
_PHRASES = ((b"Running job:", Phase.RUNNING), (b"Listening for Jobs", Phase.LISTENING))


class RunnerOutputs:
    """Reading ends by claim. `reached(claim, phase)` is called for what an orphaned runner says."""

    def __init__(self, reached: Callable[[str, Phase], None]) -> None:
        self._reached = reached
        self._files: dict[str, int] = {}
        self._reading: set[str] = set()

    def hold(self, claim: str, file: int) -> None:
        """Keeps the reading end that the start of a shim gave."""
        self._files[claim] = file

    def hold_of(self, claim: str, pid: int) -> None:
        """Opens the reading end of a runner that an earlier agent started; does nothing twice."""
        if claim in self._files:
            return
        try:
            file = os.open(f"/proc/{pid}/fd/1", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        if stat.S_ISFIFO(os.fstat(file).st_mode):
            self._files[claim] = file
        else:
            os.close(file)

    def take_over(self, claim: str) -> None:
        """The shim is gone: reads from now on."""
        file = self._files.get(claim)
        if file is not None and claim not in self._reading:
            os.set_blocking(file, False)
            self._reading.add(claim)
            asyncio.get_running_loop().add_reader(file, self._read, claim, file)

    def release(self, claim: str) -> None:
        """The runner is over."""
        file = self._files.pop(claim, None)
        if file is not None:
            if claim in self._reading:
                self._reading.discard(claim)
                asyncio.get_running_loop().remove_reader(file)
            os.close(file)

    def release_all_but(self, live: frozenset[str]) -> None:
        """Lets go of every runner that is not in `live`."""
        for claim in [one for one in self._files if one not in live]:
            self.release(claim)

    def _read(self, claim: str, file: int) -> None:
        try:
            data = os.read(file, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.release(claim)
            return
        for words, phase in _PHRASES:
            if words in data:
                self._reached(claim, phase)
                break
