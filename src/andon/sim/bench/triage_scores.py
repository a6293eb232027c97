"""How right triage is: precision, recall, kinds, evidence and would-be reruns over labelled cases (R75)."""

from collections.abc import Iterable, Sequence

import msgspec

from andon.model.verdict import Verdict
from andon.sim.bench.triage_cases import Case
from andon.sim.bench.triage_wrap import wrap
from andon.triage.engine import Engine


class Judged(msgspec.Struct, frozen=True):
    """A case with its verdict, and whether the first line of evidence lies in the true excerpt."""

    case: Case
    verdict: Verdict
    evidence_right: bool


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of R75; shares from 0 to 1, the last three are counts."""

    cases: int
    precision: float
    recall: float
    kinds: float
    evidence: float
    traps_right: int
    traps: int
    unsafe: int


def judge_bare(engine: Engine, cases: Sequence[Case]) -> list[Judged]:
    """Every excerpt by itself."""
    out: list[Judged] = []
    for case in cases:
        verdict = engine.judge([case.text.encode()])
        out.append(Judged(case, verdict, True))
    return out


def judge_wrapped(engine: Engine, cases: Sequence[Case], seeds: Iterable[int]) -> list[Judged]:
    """Every excerpt in whole logs, one for each seed."""
    out: list[Judged] = []
    for seed in seeds:
        for number, case in enumerate(cases):
            wrapped = wrap(case.text, seed * 1000 + number)
            verdict = engine.judge([wrapped.text.encode()])
            right = not verdict.evidence or wrapped.first <= verdict.evidence[0].line <= wrapped.last
            out.append(Judged(case, verdict, right))
    return out


def scores(judged: Sequence[Judged]) -> Scores:
    """Of the cases that can be scored."""
    usable = [item for item in judged if item.case.scorable]
    said_infra = [item for item in usable if item.verdict.family == "infra"]
    infra = [item for item in usable if item.case.family == "infra"]
    binary = [item for item in said_infra if item.case.family in ("infra", "code")]
    told = [item for item in usable if item.verdict.family != "unknown"]
    traps = [item for item in usable if item.case.trap == "code-like-infra"]
    return Scores(
        cases=len(usable),
        precision=_share(sum(item.case.family == "infra" for item in binary), len(binary)),
        recall=_share(sum(item.verdict.family == "infra" for item in infra), len(infra)),
        kinds=_share(sum(_kind_right(item) for item in usable), len(usable)),
        evidence=_share(sum(item.evidence_right for item in told), len(told)),
        traps_right=sum(item.verdict.family in ("code", "unknown") for item in traps),
        traps=len(traps),
        unsafe=sum(item.case.family == "code" and item.verdict.rerun for item in usable),
    )


def _kind_right(item: Judged) -> bool:
    if item.case.family == "timeout":
        return item.verdict.family == "timeout"
    return item.verdict.kind == item.case.kind


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
