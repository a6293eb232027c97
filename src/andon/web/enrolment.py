"""`POST /agent/v1/enrol`: lets a host in, for a one-use token or, on this machine, for the enrolment secret.

Every refusal is one sentence that the agent prints as it stands (interfaces.md section 2). A token
is spent last, in the transaction that makes the host's own.
"""

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from andon.model.enrolment import CLOCK_TOLERANCE, HOST_TOKEN_MARK, ONE_USE_LIFE, ONE_USE_MARK, TokenState
from andon.model.wire import EnrolAnswer, EnrolRequest
from andon.rules.config_control_plane import is_behind_proxy
from andon.rules.host_clock import off_text
from andon.rules.names import HOST_NAME
from andon.store import enrolments, hosts
from andon.store.enrolments import KnownToken
from andon.store.transaction import Tx
from andon.web.answers import Refusal, answer, decode, read_body
from andon.web.auth import is_from_here, same
from andon.web.control_plane import ControlPlane, control_plane

MAX_BYTES = 64 * 1024


async def enrol(request: Request) -> Response:
    """Exchanges a one-use token, or the enrolment secret, for a host token of this host alone."""
    control = control_plane(request)
    wanted: EnrolRequest = decode(await read_body(request, MAX_BYTES), EnrolRequest)
    try:
        return await _enrol(request, control, wanted)
    except Refusal as refused:
        control.log.warning("host.not_enrolled", host=wanted.name[:80], reason=str(refused))
        raise


async def _enrol(request: Request, control: ControlPlane, wanted: EnrolRequest) -> Response:
    one_use = wanted.token.startswith(ONE_USE_MARK)
    if one_use:
        await _check_one_use(control, wanted)
    else:
        _check_secret(request, control, wanted.token)
    if not HOST_NAME.fullmatch(wanted.name):
        raise Refusal(422, f'"{wanted.name[:80]}" is no host name.', "Use letters, digits, dots, dashes; at most 63.")
    _check_clock(wanted.clock, control.clock.now())
    token = f"{HOST_TOKEN_MARK}{control.new_secret()}"

    def work(tx: Tx) -> None:
        if not one_use:
            if not hosts.enrol(tx, wanted.name, token):
                raise _taken(wanted.name)
            return
        if enrolments.speaks(hosts.get_host(tx.connection, wanted.name), tx.lease_time()):
            raise _lives(wanted.name)
        if not enrolments.exchange(tx, wanted.name, wanted.token, token):
            # Somebody used it between the check and now.
            raise _refused(enrolments.known_token(tx.connection, wanted.token), wanted.name, tx.now)

    await control.store.write(work)
    control.log.info("host.enrolled", host=wanted.name, version=wanted.version[:80], one_use=one_use)
    return answer(EnrolAnswer(host_token=token), 201)


def _check_secret(request: Request, control: ControlPlane, token: str) -> None:
    if token.startswith(HOST_TOKEN_MARK):
        raise Refusal(401, "This is a host token, which is not exchanged again.", "Use a token of `andon host add`.")
    if is_behind_proxy(control.config.server):
        # What comes through a proxy on this machine looks as if it came from here.
        raise Refusal(401, "Behind a proxy only one-use tokens are accepted.", "Get one with `andon host add`.")
    if not is_from_here(request):
        raise Refusal(
            401,
            "This is no one-use token, and the enrolment secret is accepted from the control plane's machine only.",
            "Get a one-use token with `andon host add`.",
        )
    if not same(token, control.enrolment_secret):
        raise Refusal(401, "The enrolment secret is wrong.", "Use the content of [server] agent_token_file.")


async def _check_one_use(control: ControlPlane, wanted: EnrolRequest) -> None:
    known = await control.store.read(lambda connection: enrolments.known_token(connection, wanted.token))
    now = control.clock.now()
    if (
        known is None
        or known.state is not TokenState.GRANTED
        or known.host != wanted.name
        or known.expires_at is None
        or known.expires_at <= now
    ):
        raise _refused(known, wanted.name, now)


def _refused(known: KnownToken | None, name: str, now: datetime) -> Refusal:
    """Why a one-use token lets nobody in."""
    fresh = "Get a fresh one with `andon host add`."
    if known is None or known.expires_at is None:
        return Refusal(401, "This one-use token is unknown here.", fresh)
    since = f"{known.since:%Y-%m-%d %H:%M} UTC"
    if known.state is TokenState.SPENT:
        return Refusal(401, f"This one-use token was used already, on {since}.", fresh)
    if known.state is TokenState.REPLACED:
        return Refusal(401, f"A newer token took the place of this one on {since}.", "Use the newer one.")
    if known.state is TokenState.REVOKED:
        return Refusal(401, f"Host {known.host} was removed on {since}, and its one-use token with it.", fresh)
    if known.expires_at <= now:
        minutes = ONE_USE_LIFE.total_seconds() / 60
        ended = f"{known.expires_at:%Y-%m-%d %H:%M} UTC"
        return Refusal(401, f"This one-use token expired on {ended}, {minutes:.0f} minutes after it was made.", fresh)
    return Refusal(
        403,
        f"This one-use token is for host {known.host}, not for {name[:80]}.",
        "Correct [agent] name, or add that host.",
    )


def _check_clock(clock: datetime | None, now: datetime) -> None:
    if clock is None:
        return
    if clock.tzinfo is None:
        raise Refusal(422, "The host's clock is told without a time zone.", "Upgrade the agent.")
    off = clock - now
    if abs(off) > CLOCK_TOLERANCE:
        limit = CLOCK_TOLERANCE.total_seconds()
        raise Refusal(
            422,
            f"The host's clock is {off_text(off)}; more than {limit:.0f} s is refused.",
            "Set it, then enrol again.",
        )


def _taken(name: str) -> Refusal:
    return Refusal(
        409,
        f"A host named {name} is enrolled already.",
        f"Choose another name, restore its host.token, or take it away with `andon host remove {name}`.",
    )


def _lives(name: str) -> Refusal:
    return Refusal(
        409,
        f"A host named {name} is enrolled, and its agent reports.",
        "Choose another [agent] name, or stop that agent first.",
    )
