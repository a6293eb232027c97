"""Calls at the sandbox, sorted by what they are for: its own names are "GET /repos/{owner}/{repo}/... 200"."""

from collections import Counter
from collections.abc import Mapping

import msgspec

OTHER = "other"
_KINDS: tuple[tuple[str, str], ...] = (
    ("POST", "/actions/runners/generate-jitconfig"),
    ("DELETE", "/actions/runners/{runner_id}"),
    ("GET", "/actions/runners"),
    ("GET", "/actions/jobs/{job_id}"),
    ("GET", "/actions/runs/{run_id}/attempts/{attempt_number}/jobs"),
    ("GET", "/actions/runs/{run_id}/jobs"),
    ("GET", "/actions/runs/{run_id}/attempts/{attempt_number}"),
    ("GET", "/actions/runs/{run_id}"),
    ("GET", "/actions/runs"),
    ("GET", "/hooks/{hook_id}/deliveries"),
    ("GET", "/hooks"),
    ("POST", "/graphql"),
)
_NAMES: Mapping[tuple[str, str], str] = dict(
    zip(
        _KINDS,
        (
            "mint",
            "remove a runner",
            "lists of runners",
            "one job",
            "jobs of a run",
            "jobs of a run",
            "one run",
            "one run",
            "lists of runs",
            "delivery logs",
            "webhooks",
            "GraphQL",
        ),
        strict=True,
    )
)
FOR_A_JOB = frozenset({"mint", "remove a runner", "one job", "one run", "GraphQL"})
"""What is asked because of one job; everything else is asked because time has passed."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How often each kind was asked, and how often GitHub answered that nothing has changed."""

    calls: Counter[str]
    unchanged: Counter[str]

    @property
    def paid(self) -> Counter[str]:
        """What the quota was charged for."""
        return self.calls - self.unchanged


def kinds_of(calls: Mapping[str, int], unchanged: Mapping[str, int]) -> Counts:
    """The counters of the sandbox by kind."""
    return Counts(calls=_by_kind(calls), unchanged=_by_kind(unchanged))


def _by_kind(named: Mapping[str, int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, number in named.items():
        found[_kind(name)] += number
    return found


def _kind(name: str) -> str:
    method, _, rest = name.partition(" ")
    template = rest.rpartition(" ")[0]
    for place in ("/repos/{owner}/{repo}", "/orgs/{org}"):
        template = template.removeprefix(place)
    return _NAMES.get((method, template), OTHER)
