"""The cookie that a browser gets for a viewer token: it reads pages, and opens nothing else.

It is no token: made from the token with a one-way function, and it names its own end. Another
viewer token makes all of them void, and every replica can check them.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

NAME = "andon_viewer"
LASTS = timedelta(days=30)
_PURPOSE = b"andon viewer cookie 1 "


def make_cookie(viewer_token: str, now: datetime) -> str:
    """A cookie's value that is good from now on for `LASTS`."""
    ends = str(int((now + LASTS).timestamp()))
    return f"{ends}.{_mark(viewer_token, ends)}"


def is_good(value: str, viewer_token: str, now: datetime) -> bool:
    """Whether we made it from this token, and its time is not over."""
    ends, _, mark = value.partition(".")
    if not (ends.isascii() and ends.isdigit() and len(ends) <= 12 and mark.isascii()):
        return False
    return hmac.compare_digest(mark, _mark(viewer_token, ends)) and now < datetime.fromtimestamp(int(ends), UTC)


def _mark(viewer_token: str, ends: str) -> str:
    return hmac.new(viewer_token.encode(), _PURPOSE + ends.encode(), hashlib.sha256).hexdigest()
