"""An incident (something wrong that is named) and a criterion (one line of an acceptance bar)."""

from datetime import timedelta
from enum import StrEnum

from andon.model.machine import Deadline, Machine


class IncidentState(StrEnum):
    OPEN = "open"
    EASING = "easing"
    """The cause is gone; it closes when it stays gone."""
    CLOSED = "closed"


class CriterionState(StrEnum):
    HOLDS = "holds"
    FAILS = "fails"
    CANNOT_TELL = "cannot tell"


_I = IncidentState

INCIDENTS = Machine[IncidentState](
    noun="incident",
    initial=frozenset({_I.OPEN}),
    terminal=frozenset({_I.CLOSED}),
    edges={
        (_I.OPEN, "eased"): _I.EASING,
        (_I.EASING, "returned"): _I.OPEN,
        (_I.EASING, "stayed_away"): _I.CLOSED,
    },
    deadlines={
        _I.OPEN: Deadline(
            limit=timedelta(hours=24),
            text="24 h",
            consequence="announced again to its owner",
            owner="loop:incidents",
        ),
        _I.EASING: Deadline(
            limit=timedelta(minutes=15),
            text="its kind's quiet time (model.incident_kinds), 15 min at most",
            consequence="closed",
            owner="loop:incidents",
        ),
    },
)

CRITERIA = Machine[CriterionState](
    noun="criterion",
    initial=frozenset({CriterionState.CANNOT_TELL}),
    # A criterion is computed again for ever; it has no last state.
    terminal=frozenset(),
    edges={
        (here, event): there
        for here in CriterionState
        for event, there in (
            ("held", CriterionState.HOLDS),
            ("failed", CriterionState.FAILS),
            ("unanswered", CriterionState.CANNOT_TELL),
        )
    },
    deadlines={
        state: Deadline(
            limit=timedelta(minutes=5),
            text="5 min",
            consequence="computed again",
            owner="loop:bars",
        )
        for state in CriterionState
    },
)
