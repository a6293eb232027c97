"""A step's `if`: the four status functions, with `!`, `&&` and `||`.

The rest of GitHub's expression language is not played: an `if` that needs it fails its step.
"""

from andon.runtime.errors import AndonError

_FUNCTIONS = ("always()", "success()", "failure()", "cancelled()")


class BadCondition(AndonError):
    """An `if` that is not understood."""


def holds(condition: str | None, *, failed: bool, cancelled: bool) -> bool:
    """Whether a step runs now. Without a status function `success()` is implied, as at GitHub.

    Raises BadCondition.
    """
    text = (condition or "").strip()
    if text.startswith("${{") and text.endswith("}}"):
        text = text[3:-2].strip()
    values = {
        "always()": True,
        "success()": not failed and not cancelled,
        "failure()": failed and not cancelled,
        "cancelled()": cancelled,
        "true": True,
        "false": False,
    }
    squeezed = "".join(text.split()).lower()
    if not any(name in squeezed for name in _FUNCTIONS) and not values["success()"]:
        return False
    if not squeezed:
        return True
    return any(all(_term(term, values, text) for term in part.split("&&")) for part in squeezed.split("||"))


def _term(term: str, values: dict[str, bool], whole: str) -> bool:
    if term.startswith("!"):
        return not _term(term[1:], values, whole)
    if term not in values:
        raise BadCondition(f"The expression is not valid: '{whole}'. Use always(), success(), failure(), cancelled().")
    return values[term]
