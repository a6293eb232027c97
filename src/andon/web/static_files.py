"""The pages' own style, script and icons, each under an address that names its content.

A browser may keep them for ever: a changed file has another address.
"""

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from andon.web.answers import Refusal

_FOLDER = Path(__file__).parent / "static"
_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"

FILES: dict[str, bytes] = {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _KINDS}
_DIGESTS = {name: hashlib.sha256(content).hexdigest()[:12] for name, content in FILES.items()}


def static_url(name: str) -> str:
    """The address of a file of ours. Raises KeyError for a name that does not exist."""
    return f"/static/{_DIGESTS[name]}/{name}"


async def static_file(request: Request) -> Response:
    """The file. A page from before an upgrade gets the present one, which it must not keep."""
    name = str(request.path_params["name"])
    if name not in FILES:
        raise Refusal(404, "No such file.")
    present = str(request.path_params["digest"]) == _DIGESTS[name]
    headers = {"cache-control": _FOR_EVER if present else "no-store", "x-content-type-options": "nosniff"}
    return Response(FILES[name], media_type=_KINDS[Path(name).suffix], headers=headers)
