"""Keeps secrets out of everything that is written down (design.md section 8)."""

import re

_NAMES = re.compile(r"(?i)(token|secret|jit|password|authorization|signature|private_key)")
_VALUES = re.compile(
    r"(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,}"
    # Our own: host tokens and one-use tokens (model.enrolment).
    r"|a[ho]t_[A-Za-z0-9_-]{16,}"
    r"|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|(?i:(?<=x-hub-signature-256: ))\S+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----)"
)
HIDDEN = "[redacted]"


def redact_text(text: str) -> str:
    """`text` with everything that looks like a credential replaced."""
    return _VALUES.sub(HIDDEN, text)


def redact_fields(fields: dict[str, object]) -> dict[str, object]:
    """Log fields with secret ones hidden, by name (a file's path is no secret) and by look."""
    out: dict[str, object] = {}
    for name, value in fields.items():
        if _NAMES.search(name) and not name.endswith(("_file", "_path", "_count")):
            out[name] = HIDDEN
        elif isinstance(value, str):
            out[name] = redact_text(value)
        else:
            out[name] = value
    return out
