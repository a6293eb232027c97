"""The switches of the rails: what automatic acts may do, and how an operator says so (R31, interfaces.md 6)."""

from starlette.requests import Request
from starlette.responses import Response

from andon.model.api import Changed, SwitchRequest
from andon.model.rails import Rail
from andon.store import rail_gate
from andon.web.answers import Refusal, answer
from andon.web.changes import Change, asked_by_operator, reason_of
from andon.web.control_plane import control_plane


async def change_switch(request: Request) -> Response:
    """Lets a rail act, only observe, or do nothing. It stays so over restarts, until it is changed again."""
    wanted = await asked_by_operator(request, SwitchRequest)
    control, reason = control_plane(request), reason_of(wanted.reason)
    name = str(request.path_params["name"])
    if name not in set(Rail):
        raise Refusal(404, f'No switch "{name[:80]}" exists.', f"The switches are: {', '.join(Rail)}.")
    rail, fleet = Rail(name), control.config.rails.mode
    line = await control.store.write(lambda tx: rail_gate.switch(tx, rail, wanted.mode, reason=reason, fleet=fleet))
    control.log.info("rail.switched", rail=rail.value, mode=wanted.mode, reason=reason)
    return answer(Changed(journal=line), 202)


SWITCH_CHANGES: tuple[Change, ...] = (
    Change(path="/api/v1/switches/{name}", handler=change_switch, takes=SwitchRequest, gives=Changed),
)
