"""Starts under way: the slot is taken at once, what takes time (a copy, a user) goes on beside."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from andon.agent.claim_record import ClaimRecord
from andon.agent.gate import Gate
from andon.agent.held import Held, Life
from andon.agent.install_copy import CopyFailed
from andon.agent.launch import Launcher, make_claim_folder, prepare, start_shim
from andon.agent.lost_end import failed_start
from andon.agent.runner_output import RunnerOutputs
from andon.agent.slot_table import Slot
from andon.agent.start_probe import NO_ROOM
from andon.model.wire import ClaimOrder
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.logging import Logger


class Starter:
    """Starts runners, where the gate lets them. `failed` gets a runner that could not be started, `done` follows each
    start."""

    def __init__(
        self,
        launcher: Launcher,
        outputs: RunnerOutputs,
        *,
        gate: Callable[[], Gate],
        failed: Callable[[Held], None],
        done: Callable[[], None],
        clock: Clock,
        log: Logger,
    ) -> None:
        self._launcher, self._outputs = launcher, outputs
        self._gate, self._failed, self._done = gate, failed, done
        self._clock, self._log = clock, log
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._shims: set[int] = set()

    def begin(self, order: ClaimOrder, slot: Slot) -> None:
        """Takes the slot for this claim and begins to start its runner."""
        record = ClaimRecord(
            claim=order.id,
            generation=order.generation,
            slot=order.slot,
            pool=slot.pool,
            runner=order.runner,
            ordered_at=self._clock.now(),
            user=slot.user,
        )
        try:
            folder, lock = make_claim_folder(self._launcher.root, record)
        except OSError as error:
            folder = self._launcher.root.claim(order.slot, order.id)
            self._note_room(error)
            self._fail(folder, record, f"The slot directory could not be made ({error.strerror}).")
            return
        work = self._launch(order, slot, folder, record, lock)
        self._under_way[order.id] = asyncio.get_running_loop().create_task(work)
        self._log.info("runner.starting", claim=order.id, slot=order.slot, runner=order.runner, path=str(folder))

    async def _launch(self, order: ClaimOrder, slot: Slot, folder: Path, record: ClaimRecord, lock: int) -> None:
        failure: str | None = None
        try:
            failure = await self._gate().admit(slot)
            if failure is None:
                command, user = await prepare(folder, slot)
                launched = start_shim(self._launcher, folder, lock, order, command, user)
                self._shims.add(launched.shim_pid)
                self._outputs.hold(order.id, launched.output)
        except (Refused, CopyFailed) as error:
            failure = str(error)
        except OSError as error:
            self._note_room(error)
            failure = f"The runner could not be started ({error.strerror})."
        finally:
            # Written while the lock is ours, so that no look takes the folder for a lost one.
            if failure is not None:
                self._fail(folder, record, failure)
            os.close(lock)
            self._under_way.pop(order.id, None)
            self._done()

    def _note_room(self, error: OSError) -> None:
        if error.errno in NO_ROOM:
            self._gate().no_room()

    def _fail(self, folder: Path, record: ClaimRecord, reason: str) -> None:
        self._log.error("runner.not_started", claim=record.claim, slot=record.slot, reason=reason)
        end = failed_start(reason, boot=self._launcher.boot_id, now=self._clock.now())
        self._failed(Held(folder=folder, claim=record, status=end, life=Life.ENDED))

    async def break_off(self, claim: str) -> None:
        """Ends a start that is under way; its folder is then found without a process."""
        under_way = self._under_way.get(claim)
        if under_way is not None:
            under_way.cancel()
            await asyncio.wait({under_way})

    async def close(self) -> None:
        """Breaks off all of them."""
        for claim in tuple(self._under_way):
            await self.break_off(claim)

    def reap(self) -> None:
        """Takes note of shims of ours that ended, so that the kernel may forget them."""
        for pid in tuple(self._shims):
            try:
                ended = os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:
                ended = True
            if ended:
                self._shims.discard(pid)
