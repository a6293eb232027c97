"""Which steps of a log failed, by the log alone or by what the jobs API says of its steps."""

import re
from collections.abc import Sequence
from datetime import timedelta

from andon.triage.facts import StepFacts
from andon.triage.scan import Scanned, Step
from andon.triage.weighing import Region

_AFTERWARDS = re.compile(
    r"(?i)upload-artifact|upload-sarif|codecov|publish.*(?:result|report)|test-report|notif|slack|clean ?up|cache/save"
    r"|always\(\)|docker logs|comment"
)
_SLACK = timedelta(seconds=1)
"""The jobs API's times of steps are whole seconds."""


def find_region(scanned: Scanned, steps: Sequence[StepFacts] = ()) -> Region:
    """The failing steps, the likeliest first.

    Without the API: the last step that shows an error, since what ran on after an error had tolerated it; steps
    that run whatever happened (uploads, reports) come last, and what runs after the job only if nothing else failed.
    An excerpt is one step.
    """
    if by_time := _by_time(scanned, steps):
        failing = by_time
    else:
        with_errors = [step for step in scanned.steps if step.errors]
        failing = sorted(with_errors, key=lambda step: (step.post, bool(_AFTERWARDS.search(step.name)), -step.line))
    if not failing and not scanned.framed:
        failing = list(scanned.steps)
    chosen = {id(step) for step in failing}
    return Region(tuple(failing), tuple(step for step in scanned.steps if id(step) not in chosen), scanned.framed)


def _by_time(scanned: Scanned, steps: Sequence[StepFacts]) -> list[Step]:
    failed = [step for step in steps if step.conclusion in ("failure", "timed_out", "cancelled") and step.started_at]
    found: list[Step] = []
    for facts in failed:
        start, end = facts.started_at, facts.completed_at
        for at, step in enumerate(scanned.steps):
            begins = step.at
            following = next((later.at for later in scanned.steps[at + 1 :] if later.at is not None), None)
            if begins is None or start is None or (end is not None and begins > end + _SLACK):
                continue
            if (
                begins >= start - _SLACK or (following is not None and following > start + _SLACK)
            ) and step not in found:
                found.append(step)
    return [step for step in found if step.errors] or found
