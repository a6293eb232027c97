"""How the sandbox says no: an HTTP status and one sentence."""

from andon.runtime.errors import AndonError


class ApiError(AndonError):
    """A call that GitHub refuses."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def not_found() -> ApiError:
    """GitHub's answer for what does not exist, or must not be seen."""
    return ApiError(404, "Not Found")
