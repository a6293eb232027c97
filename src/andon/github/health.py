"""How the last calls to GitHub went, whatever they asked: what "GitHub is down" is judged by (R36).

A refusal is an answer; 5xx, and nothing at all, are not. A call that our own budget kept back says nothing.
"""

from datetime import datetime

from andon.github.outcomes import Failed, FailureClass, Got
from andon.rules.liveness_fleet import ApiFact


class Health:
    """Kept by the transport, in memory: another process asks anew."""

    def __init__(self) -> None:
        self.fact = ApiFact(answered_at=None, failing_since=None)

    def came(self, outcome: Got | Failed, now: datetime) -> None:
        """One request's outcome."""
        was = self.fact
        if not isinstance(outcome, Failed) or outcome.kind is not FailureClass.RETRY_LATER:
            since = was.answering_since or now
            self.fact = ApiFact(answered_at=now, answering_since=since, failing_since=None)
            return
        self.fact = ApiFact(
            answered_at=was.answered_at,
            failing_since=was.failing_since or now,
            failures=was.failures + 1,
            unanswered=was.unanswered + 1 if outcome.status is None else 0,
            said=outcome.message[:200],
        )
