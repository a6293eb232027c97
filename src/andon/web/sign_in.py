"""`/sign-in`: exchanges a viewer token, typed into a form, for a cookie that reads pages.

The token travels in a body, so it stands in no address, no history and no log.
"""

import re
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from andon.web.answers import Refusal, read_body
from andon.web.auth import is_reader
from andon.web.control_plane import ControlPlane, control_plane
from andon.web.html_answers import refusal_page
from andon.web.viewer_cookie import LASTS, NAME, make_cookie

_PAGE = re.compile(r"/(?!/)[A-Za-z0-9._~/-]*")


async def sign_in(request: Request) -> Response:
    """The form's answer: a cookie and the page that was asked for, or the form again."""
    control = control_plane(request)
    given = parse_qs((await read_body(request, 8192)).decode("utf-8", "replace"), max_num_fields=8)
    token, wanted = given.get("token", [""])[0].strip(), given.get("next", ["/"])[0]
    page = wanted if _PAGE.fullmatch(wanted) else "/"
    if control.config.server.read == "open" or control.viewer_token is None:
        return RedirectResponse(page, 303)
    if not is_reader(control, token):
        refused = Refusal(403, "This token may not read.", "Enter the viewer token or the operator token.")
        return refusal_page(request, refused, wanted=page)
    answer = RedirectResponse(page, 303, headers={"cache-control": "no-store"})
    answer.set_cookie(
        NAME,
        make_cookie(control.viewer_token, control.clock.now()),
        max_age=int(LASTS.total_seconds()),
        path="/",
        secure=_is_encrypted(control),
        httponly=True,
        # Not "strict": a link from a job's log leads here, and pages change nothing.
        samesite="lax",
    )
    return answer


async def signed_in(request: Request) -> Response:
    """Somebody reloaded the form's answer: the board asks again where it must."""
    return RedirectResponse("/", 303)


def _is_encrypted(control: ControlPlane) -> bool:
    """Whether browsers come by https, as the configuration says it; no header of a request is asked."""
    server = control.config.server
    return bool(server.tls_cert_file or server.behind_proxy or (server.public_url or "").startswith("https:"))
