"""What a hit is worth where it stands: in a failing step or elsewhere, retried, tolerated, printed by a test.

The same words mean a failure in one place and nothing in another, and this is where most wrong verdicts are
prevented (triage-facts.md section 2.1). Everything that is uncertain lowers infrastructure, never code: a rerun of
a code failure is the harm.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from andon.model.failure_kinds import Family
from andon.triage.rule import Rule
from andon.triage.scan import Hit, Step
from andon.triage.templates import masked
from andon.triage.test_blocks import LONGEST_BLOCK, passes

if TYPE_CHECKING:
    import re2

SOFT_FACTOR = 0.35
FAR_FACTOR = 0.6
FAR_KINDS = frozenset({"workspace-race", "oom-kill"})
"""Kinds whose cause may stand in another step than the failure."""

_SOFT = re.compile(
    rb"(?i)^##\[(?:debug|notice)\]|\bretry(?:ing)?\b|\bretries\b|tries remaining|\battempt #?\d"
    rb"|\bback(?:ing)?[ -]?off\b"
    rb"|\btry(?:ing)? again\b|\bignor(?:ed|ing)\b|non-?fatal|not fatal|\bcontinuing\b|tolerat"
    rb"|allowed to fail|best[- ]effort"
    rb"|\boptional\b|\bskipp(?:ed|ing)\b|\bfall(?:ing|s)? ?back\b|\|\| ?true|\bas expected\b"
    rb"|\bexpected (?:error|failure)\b|\brecovered\b"
    rb"|\bsucceeded\b|\bsimulat|\bmock|\bharmless\b|\(ok\)|continue-on-error"
    rb"|\b(?-i:INFO|DEBUG|TRACE|NOTICE)\b"
)
_WARNING = re.compile(rb"(?i)^##\[warning\]|\bwarn(?:ing)?\b")
_SOFT_NEXT = re.compile(
    rb"(?i)^(?:##\[\w+\])?\W{0,8}(?:warn(?:ing)?:? )?(?:will (?:be )?retr|retry|try(?:ing)? again"
    rb"|attempt #?\d"
    rb"|back(?:ing)?[ -]?off\b|ignor(?:ed|ing)|continuing|sleeping|waiting \d|fall(?:ing)? ?back|succeeded"
    rb"|not fatal|non-?fatal|tolerated"
    rb"|continue-on-error|\d+ retries)"
)
_FINAL = re.compile(
    rb"(?i)giv(?:e|ing|en) up|no more (?:retries|attempts)"
    rb"|(?:retries|attempts?) (?:exhausted|exceeded|failed)|after \d+ (?:attempts|retries|tries)"
    rb"|max(?:imum)? (?:number of )?(?:retries|attempts)|too many (?:retries|attempts)"
    rb"|retry limit|all attempts|Retry\(total=0"
)
_LAST_OF = re.compile(rb"(?i)attempt #?(\d{1,4}) ?(?:of|/) ?(\d{1,4})")
_QUOTED = re.compile(
    rb"(?i)\bconsole\.(?:error|warn|log)\b|^\s*\xe2\x97\x8f Console$|captured (?:stdout|stderr|log) call"
)


class Weighed(msgspec.Struct, frozen=True):
    """A hit with its worth, or with why it has none."""

    hit: Hit
    rule: Rule
    score: float
    dropped: str | None = None


class Region(msgspec.Struct, frozen=True):
    """What is looked at first: `failing` steps, the likeliest first; `framed` as in Scanned."""

    failing: tuple[Step, ...]
    others: tuple[Step, ...]
    framed: bool


def weigh(
    rules: Sequence[Rule], nears: "Sequence[re2.Pattern | None]", step: Step, green: frozenset[bytes]
) -> Iterator[Weighed]:
    """Every hit of a step that counts, and those that were looked at and refuted."""
    blocks = list(step.marks)
    first_error = step.errors[0][0] if step.errors else None
    for hit in step.hits():
        rule = rules[hit.rule]
        near = nears[hit.rule]
        before, after = hit.lines_before(), hit.lines_after()
        if near is not None and not _any_matches(near, (*before, hit.body, *after)):
            continue
        if passes(hit.body, before, after):
            yield Weighed(hit, rule, 0, "a passing test printed it")
            continue
        if masked(hit.body) in green:
            yield Weighed(hit, rule, 0, "green runs of the same job print it, too")
            continue
        score = float(rule.weight)
        if rule.family is not Family.CODE:
            if rule.block == "outside" and (
                _inside(blocks, hit.line) or any(_QUOTED.search(line) for line in before[-3:])
            ):
                yield Weighed(hit, rule, 0, "a failing test printed it")
                continue
            if (not rule.soft and is_warning(hit.body)) or is_soft(hit.body, after):
                score *= SOFT_FACTOR
        yield Weighed(hit, rule, score + _nearness(hit.line, first_error))


def is_warning(body: bytes) -> bool:
    """Whether a line calls itself a warning."""
    return _WARNING.search(body) is not None


def is_soft(body: bytes, after: Sequence[bytes]) -> bool:
    """Whether what a line tells was tried again, put up with, or wanted."""
    if body.startswith(b"##[error]") or _FINAL.search(body):
        return False
    if (last := _LAST_OF.search(body)) and last[1] == last[2]:
        return False
    if _SOFT.search(body):
        return True
    # Only the next line, and only one that begins so: a line further on speaks of something else.
    following = next((line for line in after if line.strip()), b"")
    return _SOFT_NEXT.match(following) is not None and _FINAL.search(following) is None


def _inside(blocks: Sequence[tuple[int, bool]], line: int) -> bool:
    """Whether the last mark before the line opened a block that can still be open."""
    opened = None
    for at, opens in blocks:
        if at > line:
            break
        opened = at if opens else None
    return opened is not None and line - opened <= LONGEST_BLOCK


def _nearness(line: int, first_error: int | None) -> float:
    # Mild: hundreds of lines may stand between cause and error, and decoys stand anywhere.
    if first_error is None:
        return 0.0
    distance = first_error - line
    if distance < 0:
        return -8.0
    return 4.0 if distance <= 12 else 2.0 if distance <= 60 else 0.0


def _any_matches(near: "re2.Pattern", lines: Iterable[bytes]) -> bool:
    return any(near.search(line) is not None for line in lines)
