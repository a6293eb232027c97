"""Claims of a fleet of processes, as its journal tells them."""

import json
from typing import Any

from tests.support.fleet import Stage, wait_for

OVER = ("settled", "released")
"""Terminal states of claims."""


def claim_stories(stage: Stage) -> dict[str, list[dict[str, Any]]]:
    """What the journal tells of each claim, oldest first."""
    lines: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = stage.ask(f"/api/v1/journal?limit=500{cursor}")
        lines += page["items"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    stories: dict[str, list[dict[str, Any]]] = {}
    for line in reversed(lines):
        if line["subject"]["kind"] == "claim" and line["kind"] not in ("claim.shuffled", "claim.late_word"):
            stories.setdefault(line["subject"]["id"], []).append(line)
    return stories


def wait_for_all_claims_over(stage: Stage) -> None:
    """Tells the whole story of those that stay, when some do."""

    def live() -> list[list[dict[str, Any]]]:
        return [steps for steps in claim_stories(stage).values() if steps[-1]["to"] not in OVER]

    try:
        wait_for("all claims are over", lambda: not live(), seconds=120, every=1.0)
    except AssertionError:
        raise AssertionError(f"claims stay: {json.dumps(live(), indent=1)}") from None
