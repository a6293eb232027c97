"""What is done with an adopted runner's listener: started again, stopped, or left alone (R37).

A listener that ends while its job goes on costs the job its connection to GitHub, and one that is
interrupted cancels it: so nothing at all is done while a job process lives or may live.
"""

from enum import StrEnum

import msgspec

from andon.model.wire import SlotState

LOOKS = 2
"""Looks in a row that must agree before anything is done (interfaces.md section 3)."""


class ListenerAct(StrEnum):
    """What the agent does now."""

    NOTHING = "nothing"
    INTERRUPT = "interrupt"
    """SIGINT to the listener, which then ends by itself."""
    START = "start"


class ListenerSight(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one adopted runner at this look."""

    listening: bool
    """Its listener lives."""
    working: bool
    """A job process of its folder lives."""
    unclear: str | None = None
    """Why that cannot be told."""
    wrapped: bool = False
    """The script around the listener lives, and starts it again by itself."""
    idle_looks: int = 0
    """Looks in a row, this one included, with a listener and without a job process."""
    gone_looks: int = 0
    """Looks in a row, this one included, in which nothing of the runner lived."""
    held: str | None = None
    """Why the slot may not take jobs; None: it may."""
    stale: bool = False
    """Its listener knows an older `.env`."""
    seen: bool = True
    """It has listened since it was adopted. One that never did was stopped by somebody for a reason."""
    once: bool = False
    """An ephemeral runner, whose end is no fault."""
    due: bool = True
    """The back-off after the last start is over."""
    cannot_start: str | None = None
    """Why we may not start it."""


class ListenerVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What to do, and how the slot stands."""

    act: ListenerAct
    state: SlotState
    note: str | None = None
    soon: bool = False
    """Another look decides: it should not wait, for the gap between two jobs may be short."""


def judge_listener(sight: ListenerSight) -> ListenerVerdict:
    """The verdict of one look. Safe to repeat."""
    if sight.unclear is not None:
        return _left(SlotState.UNKNOWN, sight.unclear)
    if sight.working:
        gone = None if sight.listening else "its listener is gone; it is started again when the job is over"
        return _left(SlotState.RUNNING, gone)
    return _of_living(sight) if sight.listening else _of_gone(sight)


def _of_living(sight: ListenerSight) -> ListenerVerdict:
    if sight.held is not None:
        state, note = SlotState.STOPPING, f"its listener is being stopped: {sight.held}"
    elif sight.stale:
        state, note = SlotState.IDLE, "restart: its listener knows an older .env"
    else:
        return _left(SlotState.IDLE, None)
    sure = sight.idle_looks >= LOOKS
    act = ListenerAct.INTERRUPT if sure else ListenerAct.NOTHING
    return ListenerVerdict(act=act, state=state, note=note, soon=not sure)


def _of_gone(sight: ListenerSight) -> ListenerVerdict:
    if sight.held is not None:
        return _left(SlotState.UNAVAILABLE, f"its listener is stopped: {sight.held}")
    if sight.once:
        return _left(SlotState.UNAVAILABLE, "it was registered for one job only")
    if not sight.seen:
        return _left(SlotState.UNAVAILABLE, "its listener has not run since it was adopted; start it once")
    if sight.cannot_start is not None:
        return _left(SlotState.UNAVAILABLE, f"its listener is gone; {sight.cannot_start}")
    if sight.wrapped:
        return _left(SlotState.UNAVAILABLE, "its listener is gone; the script around it still lives")
    sure = sight.gone_looks >= LOOKS
    act = ListenerAct.START if sure and sight.due else ListenerAct.NOTHING
    note = "its listener is gone; it is started again"
    return ListenerVerdict(act=act, state=SlotState.UNAVAILABLE, note=note, soon=not sure)


def _left(state: SlotState, note: str | None) -> ListenerVerdict:
    return ListenerVerdict(act=ListenerAct.NOTHING, state=state, note=note)
