"""GitHub's API as far as we use it: every call a method, typed answers, or a Failed that says of what kind.

The calls live by topic in the files named here; this is their sum.
"""

from collections.abc import Callable, Iterable

from andon.github.app_calls import AppCalls
from andon.github.check_calls import CheckCalls
from andon.github.clock_skew import Skew
from andon.github.graphql_calls import GraphqlCalls
from andon.github.hook_calls import HookCalls
from andon.github.issue_calls import IssueCalls
from andon.github.run_calls import Answered, RunCalls
from andon.github.runner_calls import RunnerCalls
from andon.github.scope import Scope
from andon.github.transport import Transport
from andon.model.budget import BudgetView
from andon.rules.liveness_fleet import ApiFact

__all__ = ["Answered", "GitHub", "Scope"]


class GitHub(RunnerCalls, RunCalls, HookCalls, IssueCalls, CheckCalls, AppCalls, GraphqlCalls):
    """Every call, and what is known of the way to GitHub."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._wire = transport

    def budgets(self) -> tuple[BudgetView, ...]:
        """The quota of every credential that was used, and whether something waits for it (R8)."""
        return self._wire.budgets()

    def restore(self, views: Iterable[BudgetView]) -> None:
        """Takes over the budgets that an earlier leader knew."""
        self._wire.restore(views)

    def on_pause(self, tell: Callable[[], None]) -> None:
        """`tell` is called whenever GitHub asked for a pause; its end stands in `budgets` by then."""
        self._wire.on_pause(tell)

    def clock_skew(self) -> Skew | None:
        """How far our clock is from GitHub's; None before its first answer."""
        return self._wire.clock_skew()

    def health(self) -> ApiFact:
        """How the last calls went, whatever they asked."""
        return self._wire.health.fact
