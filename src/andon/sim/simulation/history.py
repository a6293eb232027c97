"""Every transaction held against what may be: claims along their table, the owner's cap, and only a leader decides
(I3, I4, I5 at every commit; limits.md 6, row 12). Its journal lines go into the trace."""

from collections.abc import Callable

from andon.loops.leadership import LEADER
from andon.model.claim_states import CLAIMS, ClaimState
from andon.sim.simulation.trace import Trace
from andon.store import leases
from andon.store.transaction import Tx

_NO_MOVE = frozenset({"claim.shuffled", "claim.late_word"})
"""Lines about a claim that leave its state alone."""
_LED = frozenset(
    {"github", "loop:budgets", "loop:dispatch", "loop:incidents", "loop:liveness", "loop:outbox", "loop:redelivery"}
)
"""Who acts only while it leads. What an agent's sync does, any replica does, in the name of `loop:claims` too."""
_EDGES = frozenset((before.value, after.value) for (before, _), after in CLAIMS.edges.items())
_TERMINAL = frozenset(state.value for state in CLAIMS.terminal)


class History:
    """What the transactions of all replicas came to."""

    def __init__(
        self,
        now: Callable[[], float],
        violate: Callable[[str], None],
        trace: Trace,
        *,
        shared: bool,
        cap: int | None,
    ) -> None:
        self._now, self._violate, self._trace, self._shared, self._cap = now, violate, trace, shared, cap
        self._live = 0
        self._states: dict[str, str] = {}
        self.claimed: dict[int, float] = {}
        """When each job was last claimed."""
        self.over: dict[str, float] = {}
        """When each claim that is over came to its end, in seconds of the simulation."""

    def committed(self, replica: str, tx: Tx) -> None:
        """Looks at one transaction, at its end."""
        lines = tx.lines
        if self._shared and any(line["actor"] in _LED for line in lines):
            self._is_of_the_leader(replica, tx)
        for line in lines:
            self._trace.note(replica, line["kind"], of=line["subject_id"], job=line["job_id"], reason=line["reason"])
            if line["subject_kind"] == "claim" and line["to_state"] is not None and line["kind"] not in _NO_MOVE:
                self._moved(line["subject_id"], line["from_state"], line["to_state"])
                if line["from_state"] is None and line["job_id"] is not None:
                    self.claimed[line["job_id"]] = self._now()

    def _is_of_the_leader(self, replica: str, tx: Tx) -> None:
        holder = leases.holder(tx, LEADER)
        if holder != replica:
            kinds = sorted({line["kind"] for line in tx.lines})
            self._violate(f"a stale write: {replica} wrote {kinds} while {holder or 'nobody'} led")

    def _moved(self, claim: str, before: str | None, after: str) -> None:
        if before == after:
            # A word about it, as that it is busy for very long: no move.
            return
        held = self._states.get(claim)
        if held in _TERMINAL:
            self._violate(f"I3: {claim} was {held} and became {after}")
        elif before != held:
            self._violate(f"I4: {claim} was {held}, and a transaction moved it from {before} to {after}")
        elif after != ClaimState.RESERVED.value if before is None else (before, after) not in _EDGES:
            self._violate(f"I4: {claim} went from {before} to {after}, which the table does not know")
        self._states[claim] = after
        if before is None:
            self._live += 1
            if self._cap is not None and self._live > self._cap:
                self._violate(f"I5: {claim} is the {self._live}th live claim, beyond the cap of {self._cap}")
        if after in _TERMINAL:
            self._live -= 1
            self.over[claim] = self._now()

    def forget(self) -> None:
        """What is over is forgotten."""
        for claim in self.over:
            self._states.pop(claim, None)
        self.over.clear()
        self.claimed.clear()
