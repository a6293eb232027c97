"""The webhook signature (R2): checked on the raw bytes, before anything is parsed."""

import hashlib
import hmac

HEADER = "x-hub-signature-256"


def sign(secret: str, body: bytes) -> str:
    """The header value that GitHub sends for `body`."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_signed(secret: str, body: bytes, header: str | None) -> bool:
    """Whether `header` is the signature of exactly these bytes; in constant time."""
    if header is None:
        return False
    return hmac.compare_digest(sign(secret, body).encode(), header.encode("utf-8", "replace"))
