"""Which slots have proven that a runner can start on them (R38, R43).

Each is tried when the agent starts, before a start whose last proof is some minutes old, and after a failure until it
passes again. A proof costs a short process; a job whose slot has a fresh one pays nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable

from andon.agent.backoff import Backoff
from andon.agent.slot_table import Slot
from andon.agent.start_probe import Failed, still_hangs
from andon.rules.start_words import NOT_TRIED
from andon.runtime.clock import Clock
from andon.runtime.logging import Logger
from andon.runtime.loop import Loop

FRESH_S = 300.0
"""How long a proof counts."""
FIRST_AGAIN_S = 5.0
LONGEST_AGAIN_S = 120.0
_AT_ONCE = 4
_LOOK_S = 60.0


class _Proof:
    """What is known of one slot."""

    def __init__(self, backoff: Backoff) -> None:
        self.backoff = backoff
        self.one_at_a_time = asyncio.Lock()
        self.tries = 0
        """Those that are over."""
        self.passed_at: float | None = None
        self.doubted = False
        """Another slot of this host failed since: this one counts, and is tried soon."""
        self.failed: Failed | None = None
        self.due_at = 0.0


class StartProbes:
    """`slots` gives them, `attempt` tries one. `renewed` says whose proof is made anew by time: where others start
    the runner, nobody asks before. `changed` is called after each try."""

    def __init__(
        self,
        slots: Callable[[], tuple[Slot, ...]],
        attempt: Callable[[Slot], Awaitable[Failed | None]],
        *,
        renewed: Callable[[Slot], bool] = lambda slot: False,
        changed: Callable[[], object],
        no_room: Callable[[], object],
        chance: Callable[[], float],
        clock: Clock,
        log: Logger,
    ) -> None:
        self._slots, self._attempt, self._renewed = slots, attempt, renewed
        self._changed, self._no_room, self._chance = changed, no_room, chance
        self._clock, self._log = clock, log
        self._proofs: dict[int, _Proof] = {}
        self._few = asyncio.Semaphore(_AT_ONCE)
        self.loop = Loop("start-probes", self.look, period=_LOOK_S, clock=clock, log=log)

    def why_not_ready(self, slot: int) -> str | None:
        """Why nothing starts there; None: its last proof passed."""
        proof = self._proofs.get(slot)
        if proof is None:
            # A slot that came meanwhile (an adopted runner that becomes a JIT slot) waits for no timer.
            self.loop.nudge()
            return NOT_TRIED
        if proof.failed is not None:
            return proof.failed.reason
        return NOT_TRIED if proof.passed_at is None else None

    async def admit(self, slot: Slot) -> str | None:
        """Right before a start: tries it where the last proof is old, or failed."""
        proof = self._proof(slot.number)
        if not self._is_fresh(proof):
            await self._try(slot, proof, proof.tries)
        return proof.failed.reason if proof.failed is not None else None

    async def look(self) -> float | None:
        """Tries those that never were, or failed and are due; returns when the next one is."""
        slots = self._slots()
        numbers = {slot.number for slot in slots}
        self._proofs = {number: proof for number, proof in self._proofs.items() if number in numbers}
        now = self._clock.monotonic()
        proofs = [(slot, self._proof(slot.number)) for slot in slots]
        due = [(slot, proof, proof.tries) for slot, proof in proofs if self._is_due(slot, proof, now)]
        await asyncio.gather(*(self._try(*one) for one in due))
        waits = [proof.due_at - self._clock.monotonic() for _, proof in proofs if proof.failed is not None]
        return min(waits, default=None)

    def _proof(self, slot: int) -> _Proof:
        if slot not in self._proofs:
            self._proofs[slot] = _Proof(Backoff(first=FIRST_AGAIN_S, longest=LONGEST_AGAIN_S, chance=self._chance))
        return self._proofs[slot]

    def _is_fresh(self, proof: _Proof) -> bool:
        if proof.passed_at is None or proof.doubted:
            return False
        return self._clock.monotonic() - proof.passed_at < FRESH_S

    def _is_due(self, slot: Slot, proof: _Proof, now: float) -> bool:
        if proof.failed is not None:
            return now >= proof.due_at
        return proof.passed_at is None or proof.doubted or (self._renewed(slot) and not self._is_fresh(proof))

    async def _try(self, slot: Slot, proof: _Proof, tries: int) -> None:
        """`tries`: how many were over when this one was found needed."""
        async with proof.one_at_a_time, self._few:
            if proof.tries != tries:
                # Somebody else just did.
                return
            hangs = proof.failed is not None and proof.failed.hung is not None and still_hangs(proof.failed.hung)
            failed = proof.failed if hangs else await self._attempt(slot)
            proof.tries += 1
        before, proof.failed, proof.doubted = proof.failed, failed, False
        if failed is None:
            proof.passed_at = self._clock.monotonic()
            proof.backoff.reset()
            if before is not None:
                self._log.info("start_probe.passed", slot=slot.number)
        else:
            proof.passed_at = None
            proof.due_at = self._clock.monotonic() + proof.backoff.pause()
            if before is None:
                self._log.error("start_probe.failed", slot=slot.number, reason=failed.reason)
                self._doubt_others(proof)
            if failed.no_room:
                self._no_room()
        # Whoever reports compares: a proof that only is newer is no news to anybody.
        self._changed()

    def _doubt_others(self, failed: _Proof) -> None:
        """What is used up on a host is used up for all its slots: they are tried now, and not one claim at a time."""
        for proof in self._proofs.values():
            if proof is not failed and proof.failed is None and proof.passed_at is not None:
                proof.doubted = True
        self.loop.nudge()
