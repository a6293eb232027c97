"""Lines without what differs from run to run: numbers, hashes, paths, addresses, names of temporary things.

Two failures of one cause on two units have one template; so have the lines of green runs of the same job.
"""

import hashlib
import re

_MASKS = (
    (re.compile(rb"https?://[^\s\"'<>)]{1,500}"), b"<url>"),
    (re.compile(rb"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b"), b"<id>"),
    (re.compile(rb"(?:[A-Za-z]:)?(?:[\\/][\w.@+~-]{1,200}){2,40}"), b"<path>"),
    (re.compile(rb"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b"), b"<address>"),
    (re.compile(rb"\b(?:0x)?[0-9a-fA-F]{7,64}\b"), b"<hex>"),
    (re.compile(rb"\d{1,40}(?:[.,:]\d{1,40}){0,6}"), b"<n>"),
    (re.compile(rb"\s{1,200}"), b" "),
)
_LONGEST = 400


def masked(body: bytes) -> bytes:
    """The template of a line."""
    text = body[:_LONGEST].strip()
    for look, by in _MASKS:
        text = look.sub(by, text)
    return text


def signature(kind: str, rule: str, body: bytes) -> str:
    """A short name that equal failures share."""
    digest = hashlib.sha256(b"\0".join((kind.encode(), rule.encode(), masked(body)))).hexdigest()[:12]
    return f"{kind}:{digest}"
