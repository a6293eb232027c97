"""Changes of jobs by an operator: rescue (interfaces.md section 6)."""

from starlette.requests import Request
from starlette.responses import Response

from andon.model.api import Changed, RescueRequest
from andon.model.machine import Rejected
from andon.model.rails import Rail
from andon.store import claims, jobs, rail_gate
from andon.store.rescue_orders import order_rescue
from andon.store.transaction import Tx
from andon.web.answers import Refusal, answer
from andon.web.changes import Change, asked_by_operator, reason_of
from andon.web.control_plane import control_plane
from andon.web.read_api import id_of


async def rescue_job(request: Request) -> Response:
    """Has GitHub asked now about the job and its runner; a runner that serves nothing is given up."""
    wanted = await asked_by_operator(request, RescueRequest)
    control, reason, job_id = control_plane(request), reason_of(wanted.reason), id_of(request, "job")

    def work(tx: Tx) -> Changed:
        if jobs.get_job(tx.connection, job_id) is None:
            raise Refusal(404, f"No job {job_id} is known here.", "`andon jobs` lists the newest.")
        claim = claims.live_claim_of_job(tx.connection, job_id)
        if claim is None:
            raise Refusal(409, f"Job {job_id} has no runner to rescue it from.", f"`andon why {job_id}` says why.")
        if wanted.runner not in (None, claim.runner_name) or wanted.generation not in (None, claim.generation):
            raise Refusal(
                409,
                f"Job {job_id} has moved on: its runner is {claim.runner_name}, generation {claim.generation}.",
                "Nothing was done. Order it of that one, if it is still wanted.",
            )
        mode = rail_gate.mode_of(tx.connection, Rail.RESCUE, control.config.rails.mode)
        if mode == "off":
            raise Refusal(409, "The rail rescue is switched off.", "Switch it to act, then order it again.")
        line = order_rescue(tx, claim, reason=reason, acts=mode == "act")
        if isinstance(line, Rejected):
            raise Refusal(409, f"Job {job_id} cannot be rescued: {line.reason}.")
        return Changed(journal=line, applied=mode == "act", mode=mode)

    changed = await control.store.write(work)
    control.log.info("job.rescue_ordered", job=job_id, reason=reason, mode=changed.mode)
    return answer(changed, 202)


JOB_CHANGES: tuple[Change, ...] = (
    Change(path="/api/v1/jobs/{id}/rescue", handler=rescue_job, takes=RescueRequest, gives=Changed),
)
