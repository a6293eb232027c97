"""The line of an owner whom no credential serves, beside the budgets of those that do."""

from andon.github.outcomes import Failed
from andon.model.budget import NO_TOKEN, BudgetView


def without_token(owner: str, failed: Failed) -> BudgetView:
    """The line of an owner for whom there is no token, as where the App is not installed."""
    return BudgetView(
        account=f"owner {owner}",
        resource=NO_TOKEN,
        owners=(owner,),
        limit=None,
        remaining=None,
        reserve=0,
        resets_at=None,
        used=0,
        refused=0,
        degraded=f"Nothing is asked about {owner}: {failed.message}.",
        until=failed.until,
    )
