"""Who may ask: operator and viewer tokens for people, host tokens for agents (design.md section 8)."""

import hmac
import ipaddress

from starlette.requests import Request

from andon.model.enrolment import TokenState
from andon.rules.listen_address import is_loopback, parse_listen
from andon.store import enrolments, hosts
from andon.store.enrolments import KnownToken
from andon.web import viewer_cookie
from andon.web.answers import Refusal
from andon.web.control_plane import ControlPlane, control_plane

_PASSED_ON = frozenset({"forwarded", "via", "x-real-ip"})
"""Headers that proxies add, beside those that begin with x-forwarded-."""


def bearer(request: Request) -> str | None:
    """The token of the Authorization header, if there is one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def same(one: str, other: str) -> bool:
    """Compares secrets in constant time."""
    # A header may hold what is no character at all; it is then no secret of ours either.
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode())


def require_reader(request: Request) -> None:
    """Refuses a read without a token, or a browser's cookie, where the configuration wants one."""
    control = control_plane(request)
    if control.config.server.read == "open":
        return
    token = bearer(request)
    if token is None:
        cookie, viewer = request.cookies.get(viewer_cookie.NAME), control.viewer_token
        if cookie and viewer is not None and viewer_cookie.is_good(cookie, viewer, control.clock.now()):
            return
        raise Refusal(401, "Reading needs a token here.", "Send the viewer token as a bearer token.")
    if not is_reader(control, token):
        raise Refusal(403, "This token may not read.", "Use the viewer token or the operator token.")


def is_reader(control: ControlPlane, token: str) -> bool:
    """Whether this token may read."""
    viewer = control.viewer_token is not None and same(token, control.viewer_token)
    return viewer or same(token, control.operator_token)


def require_operator(request: Request) -> None:
    """Refuses a change without the operator token; a cookie is never enough for one."""
    control = control_plane(request)
    token = bearer(request)
    if token is None:
        raise Refusal(401, "A change needs the operator token.", "Send the content of operator_token_file as a bearer.")
    if not same(token, control.operator_token):
        what = "The viewer token may only read." if is_reader(control, token) else "This token may change nothing."
        raise Refusal(403, what, "Send the operator token: the content of operator_token_file.")


async def require_host(request: Request) -> str:
    """The name of the host whose token this request carries."""
    token = bearer(request)
    if token is None:
        raise Refusal(401, "Agents send their host token.", "Enrol the host first.")
    store = control_plane(request).store
    name = await store.read(lambda connection: hosts.host_of_token(connection, token))
    if name is None:
        raise gone(await store.read(lambda connection: enrolments.known_token(connection, token)))
    return name


def gone(known: KnownToken | None) -> Refusal:
    """How a host token is refused that opens nothing: what became of it, if that is known."""
    if known is None or known.expires_at is not None:
        return Refusal(401, "This host token is unknown here.", "Enrol the host with `andon host add`.")
    name, since = known.host, f"{known.since:%Y-%m-%d %H:%M} UTC"
    if known.state is TokenState.REVOKED:
        why = known.reason.rstrip(". ")
        return Refusal(401, f"Host {name} was removed on {since}: {why}.", f"Bring it back by `andon host add {name}`.")
    return Refusal(
        401, f"Host {name} was enrolled anew on {since}, so this token is void.", "Stop this agent, or enrol it again."
    )


def is_from_here(request: Request) -> bool:
    """Whether the request comes from this machine itself, not through a proxy on it.

    A header can only make it less trusted: one that a proxy adds, or a Host that is not this machine
    as only it can reach itself. A proxy that hides both is declared by `behind_proxy`.
    """
    passed_on = any(name.startswith("x-forwarded-") or name in _PASSED_ON for name in request.headers)
    asked = request.headers.get("host", "")
    address = parse_listen(asked)
    if request.client is None or passed_on or not is_loopback(asked if address is None else address.host):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
