"""Who may ask: operator and viewer tokens for people, host tokens for agents (design.md section 8)."""

import hmac
import ipaddress

from starlette.requests import Request

from andon.store import hosts
from andon.web.answers import Refusal
from andon.web.control_plane import ControlPlane, control_plane


def bearer(request: Request) -> str | None:
    """The token of the Authorization header, if there is one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def same(one: str, other: str) -> bool:
    """Compares secrets in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def require_reader(request: Request) -> None:
    """Refuses a read without a token where the configuration wants one."""
    control = control_plane(request)
    if control.config.server.read == "open":
        return
    token = bearer(request)
    if token is None:
        raise Refusal(401, "Reading needs a token here.", "Send the viewer token as a bearer token.")
    if not _is_reader(control, token):
        raise Refusal(403, "This token may not read.", "Use the viewer token or the operator token.")


def _is_reader(control: ControlPlane, token: str) -> bool:
    viewer = control.viewer_token is not None and same(token, control.viewer_token)
    return viewer or same(token, control.operator_token)


async def require_host(request: Request) -> str:
    """The name of the host whose token this request carries."""
    token = bearer(request)
    if token is None:
        raise Refusal(401, "Agents send their host token.", "Enrol the host first.")
    name = await control_plane(request).store.read(lambda connection: hosts.host_of_token(connection, token))
    if name is None:
        raise Refusal(401, "This host token is unknown or revoked.", "Enrol the host again.")
    return name


def is_loopback(request: Request) -> bool:
    """Whether the request comes from this machine itself, not through a proxy on it."""
    if request.client is None or "x-forwarded-for" in request.headers or "forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
