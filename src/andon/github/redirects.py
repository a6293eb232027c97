"""Where a redirect leads, and whether we go there (contract section 4: logs; renamed repositories).

Within GitHub the same request is repeated. To another server only a GET that may be answered from
elsewhere goes, and never with our token.
"""

from urllib.parse import urljoin, urlsplit

import msgspec

STATUSES = frozenset({301, 302, 307, 308})
MOST = 5


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """The next address."""

    url: str
    elsewhere: bool
    """Another server than GitHub's API: no token, no budget."""


def next_hop(api_url: str, method: str, current: str, location: str | None, *, may_leave: bool) -> Hop | str:
    """The next address, or one sentence about why there is none."""
    if not location:
        return "a redirect that leads nowhere"
    try:
        url = urljoin(current, location)
        home, there = origin_of(api_url), origin_of(url)
    except ValueError:
        return "a redirect to an address that is none"
    if there == home:
        return Hop(url=url, elsewhere=False)
    if there[0] not in ("http", "https") or (home[0] == "https" and there[0] != "https"):
        return "a redirect to an address that is not encrypted"
    if method != "GET" or not may_leave:
        return "a redirect to another server"
    return Hop(url=url, elsewhere=True)


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port. Raises ValueError for what is no address."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


def graphql_url(api_url: str) -> str:
    """Where GraphQL is asked: beside the REST API, on Enterprise Server one step up."""
    base = api_url.rstrip("/")
    return base.removesuffix("/v3") + "/graphql" if base.endswith("/api/v3") else f"{base}/graphql"
