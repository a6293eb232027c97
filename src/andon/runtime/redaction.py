"""Keeps secrets out of everything that is written down (design.md section 8)."""

import re
from collections.abc import Collection
from typing import cast

_NAMES = re.compile(r"(?i)(token|secret|jit|password|authorization|signature|private_key)")
_VALUES = re.compile(
    r"(?:gh[pousr]_[A-Za-z0-9._-]{16,}|github_pat_[A-Za-z0-9_]{20,}"
    # Our own: host tokens and one-use tokens (model.enrolment).
    r"|a[ho]t_[A-Za-z0-9_-]{16,}"
    # JSON Web Tokens and JIT configs: base64 of a JSON object, in either alphabet.
    r"|eyJ[A-Za-z0-9._+/=-]{20,}"
    r"|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|(?i:(?<=x-hub-signature-256: ))\S+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----)"
)
HIDDEN = "[redacted]"


def redact_text(text: str) -> str:
    """`text` with everything that looks like a credential replaced."""
    return _VALUES.sub(HIDDEN, text)


def redact_fields(fields: dict[str, object]) -> dict[str, object]:
    """Log fields with secret ones hidden, by name (a file's path is no secret) and by look, at any depth."""
    return {name: HIDDEN if _is_secret(name) else _redacted(value) for name, value in fields.items()}


def _is_secret(name: str) -> bool:
    return _NAMES.search(name) is not None and not name.endswith(("_file", "_path", "_count"))


def _redacted(value: object) -> object:
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, dict):
        inner = cast("dict[object, object]", value)
        return {
            _redacted(name): HIDDEN if isinstance(name, str) and _is_secret(name) else _redacted(each)
            for name, each in inner.items()
        }
    if isinstance(value, tuple):
        # An exception's three parts stay what they are.
        return tuple(_redacted(each) for each in cast("tuple[object, ...]", value))
    if isinstance(value, (list, set, frozenset)):
        return [_redacted(each) for each in cast("Collection[object]", value)]
    return value
