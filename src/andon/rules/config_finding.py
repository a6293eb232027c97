"""What a check of the configuration says: one sentence, and where in the file it belongs."""

from enum import StrEnum

import msgspec

KeyPath = tuple[str | int, ...]
"""Names and list indexes from the top of the file, as `runtime.toml_file.line_of` takes them."""


class Severity(StrEnum):
    """How bad it is."""

    REFUSED = "refused"
    """The file cannot be used."""
    WARNING = "warning"
    """It can be used, and does something else than it seems to say."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a configuration."""

    severity: Severity
    path: KeyPath
    what: str
    """One or two sentences: what is wrong, and what to do."""


def refused(what: str, *path: str | int) -> Finding:
    """A finding that makes the file unusable."""
    return Finding(severity=Severity.REFUSED, path=path, what=what)


def warning(what: str, *path: str | int) -> Finding:
    """A finding that the file can be used with."""
    return Finding(severity=Severity.WARNING, path=path, what=what)
