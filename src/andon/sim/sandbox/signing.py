"""A delivery as the HTTP request that GitHub posts: body, signatures, headers (contract section 2)."""

import hashlib
import hmac
from urllib.parse import urlencode

import msgspec

from andon.sim.sandbox.delivery_records import Delivery


def request_body(delivery: Delivery) -> bytes:
    """The raw bytes that are signed and sent."""
    encoded = msgspec.json.encode(delivery.payload)
    if delivery.hook.content_type == "form":
        return urlencode({"payload": encoded.decode()}).encode()
    return encoded


def headers_of(delivery: Delivery, body: bytes) -> dict[str, str]:
    """All headers of the request; signatures only where the hook has a secret."""
    hook = delivery.hook
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/x-www-form-urlencoded" if hook.content_type == "form" else "application/json",
        "User-Agent": "GitHub-Hookshot/sandbox",
        "X-GitHub-Event": delivery.event,
        "X-GitHub-Delivery": delivery.guid,
        "X-GitHub-Hook-ID": str(hook.id),
        "X-GitHub-Hook-Installation-Target-Type": hook.target_type,
        "X-GitHub-Hook-Installation-Target-ID": str(hook.target_id),
    }
    if hook.secret:
        key = hook.secret.encode()
        headers["X-Hub-Signature"] = "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest()
        headers["X-Hub-Signature-256"] = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
    return headers
