"""A log that nobody reads: what a benchmark prints is its result."""

from typing import Any


class Silence:
    """A `runtime.logging.Logger` that says nothing."""

    def info(self, event: str, **facts: Any) -> None:
        """Nothing."""

    def warning(self, event: str, **facts: Any) -> None:
        """Nothing."""

    def error(self, event: str, **facts: Any) -> None:
        """Nothing."""

    def exception(self, event: str, **facts: Any) -> None:
        """Nothing."""
