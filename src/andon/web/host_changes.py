"""Changes of hosts by an operator: add, remove, cordon, uncordon (interfaces.md sections 2 and 6)."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from andon.model.api import Changed, ChangeRequest, HostAdded, HostRemoved, HostRequest
from andon.model.enrolment import ONE_USE_LIFE, ONE_USE_MARK
from andon.model.machine import Rejected
from andon.rules.names import HOST_NAME
from andon.store import enrolments, hosts
from andon.store.host_intents import change_intent
from andon.store.transaction import Tx
from andon.web.answers import Refusal, answer
from andon.web.changes import Change, asked_by_operator, reason_of
from andon.web.control_plane import control_plane

OPERATOR = "operator"


async def add_host(request: Request) -> Response:
    """Makes a one-use token for a host of this name; it is told here and nowhere else."""
    wanted = await asked_by_operator(request, HostRequest)
    control, reason = control_plane(request), reason_of(wanted.reason)
    if not HOST_NAME.fullmatch(wanted.name):
        raise Refusal(422, f'"{wanted.name[:80]}" is no host name.', "Use letters, digits, dots, dashes; at most 63.")
    known = {pool.name for pool in control.config.pool}
    for pool in wanted.pools:
        if pool not in known:
            names = ", ".join(sorted(known)) or "none"
            raise Refusal(422, f'No pool "{pool[:80]}" is configured here.', f"The pools are: {names}.")
    token = f"{ONE_USE_MARK}{control.new_secret()}"

    def work(tx: Tx) -> HostAdded | None:
        line = enrolments.grant(tx, wanted.name, token, reason=reason)
        if line is None:
            return None
        return HostAdded(
            journal=line,
            name=wanted.name,
            token=token,
            expires_at=tx.now + ONE_USE_LIFE,
            server=control.public_url,
        )

    added = await control.store.write(work)
    if added is None:
        raise Refusal(
            409,
            f"A host named {wanted.name} is enrolled, and its agent reports.",
            f"Choose another name, or take it away with `andon host remove {wanted.name}`.",
        )
    control.log.info("host.added", host=wanted.name, reason=reason)
    kept = answer(added, 202)
    kept.headers["cache-control"] = "no-store"
    return kept


async def remove_host(request: Request) -> Response:
    """Revokes the host's token. What runs there goes on; its history stays."""
    reason = reason_of((await asked_by_operator(request, ChangeRequest)).reason)
    control, name = control_plane(request), str(request.path_params["name"])
    removed = await control.store.write(lambda tx: enrolments.remove(tx, name, reason=reason))
    if removed is None:
        raise _unknown(name)
    control.log.info("host.removed", host=name, reason=reason, live_jobs=len(removed.jobs))
    return answer(HostRemoved(journal=removed.journal, jobs=removed.jobs), 202)


def _intent(event: str, doc: str) -> Callable[[Request], Awaitable[Response]]:
    async def handler(request: Request) -> Response:
        reason = reason_of((await asked_by_operator(request, ChangeRequest)).reason)
        control, name = control_plane(request), str(request.path_params["name"])

        def work(tx: Tx) -> str:
            host = hosts.get_host(tx.connection, name)
            if host is None:
                raise _unknown(name)
            line = change_intent(tx, host, event, actor=OPERATOR, reason=reason)
            if isinstance(line, Rejected):
                raise Refusal(409, f"Host {name} is {host.intent.value}, so there is nothing to {event}.")
            return line

        line = await control.store.write(work)
        control.log.info(f"host.{event}ed", host=name, reason=reason)
        return answer(Changed(journal=line), 202)

    handler.__doc__ = doc
    return handler


def _unknown(name: str) -> Refusal:
    return Refusal(404, f'No host "{name[:80]}" is enrolled here.', "`andon hosts` lists them.")


HOST_CHANGES: tuple[Change, ...] = (
    Change(path="/api/v1/hosts", handler=add_host, takes=HostRequest, gives=HostAdded),
    Change(path="/api/v1/hosts/{name}/remove", handler=remove_host, takes=ChangeRequest, gives=HostRemoved),
    Change(
        path="/api/v1/hosts/{name}/cordon",
        handler=_intent("cordon", "Keeps new claims away from the host. What runs there goes on."),
        takes=ChangeRequest,
        gives=Changed,
    ),
    Change(
        path="/api/v1/hosts/{name}/uncordon",
        handler=_intent("uncordon", "Opens the host to new claims again."),
        takes=ChangeRequest,
        gives=Changed,
    ),
)
