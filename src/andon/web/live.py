"""`/live`: tells open pages that something changed, so that they fetch themselves again.

It carries no facts: a page is always one snapshot, made by the server. Level-triggered: a nudge
says when to look, a timer looks anyway, and the mark of what the pages show decides.
"""

from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from andon.runtime.loop import wait_for_nudge
from andon.store.database import Unavailable
from andon.store.fleet_views import change_mark
from andon.web.auth import require_reader
from andon.web.control_plane import ControlPlane, control_plane
from andon.web.degradation import PATIENCE_S

LASTS_S = 60.0
"""A stream ends by itself and the browser opens the next: none outlives what it was opened to."""
LOOK_S = 5.0
"""How often the store is looked at without a nudge."""
PACE_S = 0.5
"""At most two events a second."""
LOOK_PACE_S = 0.1
"""At most ten looks a second, however many nudges come that change nothing shown."""
BEAT_S = 15.0
"""The stream is never silent for longer; a comment for proxies, an event for the page."""


async def _mark(control: ControlPlane) -> object:
    """What differs when a page would: also when the database goes away, and comes back."""
    try:
        stored: object = await control.degradation.read_in_time(change_mark, PATIENCE_S)
    except Unavailable:
        stored = None
    return stored, [(each.code, each.subject, each.text) for each in control.degradation.known()]


async def _events(control: ControlPlane) -> AsyncGenerator[bytes]:
    clock = control.clock
    began = said = clock.monotonic()
    seen = control.changes.version
    mark = await _mark(control)
    yield b"retry: 1500\nevent: open\ndata: 1\n\n"
    while not control.stopping:
        left = began + LASTS_S - clock.monotonic()
        if left <= 0:
            return
        until_beat = max(0.0, said + BEAT_S - clock.monotonic())
        await wait_for_nudge(control.changes, seen, clock, min(LOOK_S, left, until_beat))
        seen = control.changes.version
        found = await _mark(control)
        if found != mark:
            mark, said = found, clock.monotonic()
            yield b"event: changed\ndata: 1\n\n"
            await clock.sleep(PACE_S)
            continue
        if clock.monotonic() - said >= BEAT_S:
            said = clock.monotonic()
            yield b": still here\nevent: beat\ndata: 1\n\n"
        await clock.sleep(LOOK_PACE_S)


async def live(request: Request) -> Response:
    """The stream."""
    require_reader(request)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no", "x-content-type-options": "nosniff"}
    return StreamingResponse(_events(control_plane(request)), media_type="text/event-stream", headers=headers)
