"""How the last calls to GitHub went, whatever they asked: what "GitHub is down" is judged by (R36).

A refusal is an answer; 5xx, and nothing at all, are not, nor is what somebody between us and GitHub says in
its place. A call that our own budget kept back says nothing.
"""

from collections.abc import Mapping
from datetime import datetime

from andon.github.outcomes import Failed, FailureClass, Got
from andon.rules.liveness_fleet import ApiFact


class Health:
    """Kept by the transport, in memory: another process asks anew."""

    def __init__(self) -> None:
        self.fact = ApiFact(answered_at=None, failing_since=None)

    def came(self, outcome: Got | Failed, now: datetime, headers: Mapping[str, str] | None = None) -> None:
        """One request's outcome, with the headers (by lower-case name) where an answer came."""
        was = self.fact
        if headers is not None and _of_another(headers):
            message = "a proxy or login page answered in GitHub's place"
            outcome = Failed(kind=FailureClass.RETRY_LATER, status=None, message=message)
        if not isinstance(outcome, Failed) or outcome.kind is not FailureClass.RETRY_LATER:
            since = was.answering_since or now
            self.fact = ApiFact(answered_at=now, answering_since=since, failing_since=None)
            return
        self.fact = ApiFact(
            answered_at=was.answered_at,
            failing_since=was.failing_since or now,
            failed_at=now,
            failures=was.failures + 1,
            unanswered=was.unanswered + 1 if outcome.status is None else 0,
            said=outcome.message[:200],
        )


def _of_another(headers: Mapping[str, str]) -> bool:
    """Whether a web page came, without the mark that GitHub's API puts on all that it answers.

    GitHub's own pages of an outage (5xx) carry it or not; either way they are failures.
    """
    return "x-github-request-id" not in headers and headers.get("content-type", "").startswith("text/html")
