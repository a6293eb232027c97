"""The one root of our exceptions, and the refusal a person reads."""


class AndonError(Exception):
    """Something in Andon went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").split("\n")[0])


class Refused(AndonError):
    """Input that cannot be used.

    The message is one clear sentence: what, where, what to do. Commands print it behind
    `andon: ` and exit with 2 (interfaces.md section 2).
    """
