"""How the sandbox says no: an HTTP status and one sentence."""

from collections.abc import Mapping, Sequence

from andon.runtime.errors import AndonError


class ApiError(AndonError):
    """A call that GitHub refuses. `headers` and `errors` (of a 422) go with the answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self.errors = errors


def not_found() -> ApiError:
    """GitHub's answer for what does not exist, or must not be seen."""
    return ApiError(404, "Not Found")


def validation_failed(resource: str, field: str, code: str, message: str | None = None) -> ApiError:
    """GitHub's 422 about one field: `code` is missing_field, invalid, already_exists or custom."""
    error = {"resource": resource, "field": field, "code": code}
    if message is not None:
        error["message"] = message
    return ApiError(422, f"Validation Failed: {message or f'{field} is {code}'}", errors=[error])
