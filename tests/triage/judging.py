"""One engine for the tests of triage: making one costs more than using it."""

from functools import cache

from andon.model.verdict import Verdict
from andon.triage.catalogue import packaged
from andon.triage.engine import Engine


@cache
def engine() -> Engine:
    return Engine(packaged())


def judged(text: str | bytes, **more: object) -> Verdict:
    return engine().judge([text if isinstance(text, bytes) else text.encode()], **more)  # type: ignore[arg-type]


def failing(*lines: str, name: str = "make ci") -> str:
    """A job's log whose one step prints these lines and fails."""
    head = [f"##[group]Run {name}", name, "shell: bash", "##[endgroup]"]
    return "\n".join([*head, *lines, "##[error]Process completed with exit code 1.", "Post job cleanup."])
