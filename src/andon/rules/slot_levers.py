"""Which protections act on which kind of slot, by which lever, and which cannot (R91).

One table, shown by `andon agent status`: nobody has to guess what an adopted runner is protected from.
"""

from enum import StrEnum

import msgspec


class SlotKind(StrEnum):
    """How a slot comes by its runner."""

    JIT = "jit"
    """A runner of our own for each job."""
    ADOPTED = "adopted"
    """A persistent runner that was here before us."""


class Lever(msgspec.Struct, frozen=True, kw_only=True):
    """One protection: how it acts on a slot of each kind. None: it cannot act there."""

    id: str
    what: str
    jit: str | None
    adopted: str | None
    instead: str = ""
    """Where it cannot act: what is left to do."""


LEVERS = (
    Lever(id="workspace", what="a directory of its own for each job", jit="hooks", adopted="hooks in its .env"),
    Lever(id="lease", what="nothing is deleted under a living job", jit="lease of the job", adopted="lease of the job"),
    Lever(
        id="heal",
        what="what containers left in the checkout as root does not break the next",
        jit="a new folder for each runner",
        adopted="given back before each checkout",
    ),
    Lever(
        id="withhold",
        what="no new job while the slot is cordoned, draining or quarantined",
        jit="nothing is minted",
        adopted="its labels are taken off, or it is parked in a runner group, else its listener is stopped when idle",
    ),
    Lever(
        id="restart",
        what="a dead listener comes back",
        jit="the next claim starts a new runner",
        adopted="its unit or run.sh, with back-off, never while a job lives",
    ),
    Lever(
        id="order",
        what="caps, order and trust decide who gets the slot",
        jit="the claim",
        adopted=None,
        instead="GitHub gives it any job that its labels fit; limit its runner group",
    ),
    Lever(
        id="stop",
        what="a runner without demand is ended",
        jit="its process, after its registration",
        adopted=None,
        instead="it waits for the next job",
    ),
    Lever(
        id="fresh",
        what="nothing of the runner outlives its job",
        jit="a new folder and one job for each runner",
        adopted=None,
        instead="its folder stays; move it with --to-jit",
    ),
    Lever(
        id="end",
        what="how the runner ended is known",
        jit="exit code, signal and last words",
        adopted=None,
        instead="its own _diag folder",
    ),
    Lever(
        id="registration",
        what="left-over registrations are removed",
        jit="by our name",
        adopted=None,
        instead="its name is not ours; remove it at GitHub",
    ),
)


class AdoptedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent knows of one adopted slot beside its state."""

    hooks_in_effect: bool
    """Its listener was started with our hooks."""
    cannot_start: str | None
    """Why this agent may not start its listener."""
    ephemeral: bool = False
    agent_is_root: bool = True


class LeverView(msgspec.Struct, frozen=True, kw_only=True):
    """How one protection stands on one slot."""

    id: str
    acts: bool
    how: str


def levers_of(facts: AdoptedFacts) -> tuple[LeverView, ...]:
    """Every protection as it acts, or does not, on one adopted slot now."""
    return tuple(_view(lever, facts) for lever in LEVERS)


def _view(lever: Lever, facts: AdoptedFacts) -> LeverView:
    if lever.adopted is None:
        return LeverView(id=lever.id, acts=False, how=lever.instead)
    if lever.id in ("workspace", "lease", "heal") and not facts.hooks_in_effect:
        return LeverView(id=lever.id, acts=False, how="not before its listener has been started again")
    if lever.id == "heal" and not facts.agent_is_root:
        return LeverView(id=lever.id, acts=False, how="the agent is not root; what it finds stands in the job's log")
    if lever.id == "restart" and facts.ephemeral:
        return LeverView(id=lever.id, acts=False, how="it was registered for one job only")
    if lever.id == "restart" and facts.cannot_start is not None:
        return LeverView(id=lever.id, acts=False, how=facts.cannot_start)
    return LeverView(id=lever.id, acts=True, how=lever.adopted)
