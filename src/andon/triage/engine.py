"""The verdict engine: structure, failing region, rules, fleet events, in that order (triage-facts.md section 2.1).

Pure: pieces of a log and plain facts in, a verdict out. The safe direction is built in: where code and
infrastructure speak alike, code has it; where nothing speaks clearly, the answer is unknown; and no rerun is
advised beside a code failure.
"""

from collections.abc import Iterable, Sequence

import msgspec

from andon.model.failure_kinds import KINDS, Family, Fault
from andon.model.verdict import Confidence, Evidence, Refuted, Verdict
from andon.triage.events import ALONE, PATH_KINDS, Word, names_path, spoken
from andon.triage.facts import FleetEvent, JobFacts
from andon.triage.lines import shown
from andon.triage.region import find_region
from andon.triage.rule import Rule
from andon.triage.scan import Scanner, Step
from andon.triage.structure import Finding, fall_back, settle, slow_or_hung
from andon.triage.templates import masked, signature
from andon.triage.weighing import FAR_FACTOR, FAR_KINDS, Region, Weighed, is_warning, weigh

LIKELY = 60.0
"""A score from which a verdict is likely, and not only suspected."""
LEAST_FRAMED = 38.0
LEAST_EXCERPT = 18.0
"""Scores below which nothing is said: a job's whole log is full of words, an excerpt was chosen by somebody."""
CODE_SPEAKS = 50.0
"""A code hit of this score in the failing step forbids a rerun."""
MOST_EVIDENCE = 5


class Reading(msgspec.Struct, frozen=True):
    """What the log alone said."""

    best: Weighed | None
    code: Weighed | None
    also: tuple[Weighed, ...]
    refuted: tuple[Weighed, ...]
    step: Step | None


class Engine:
    """Judges failed jobs by one set of rules."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._scanner = Scanner(self._rules)
        self._matcher = self._scanner.matcher

    def judge(
        self,
        log: Iterable[bytes] | None,
        *,
        job: JobFacts | None = None,
        events: Sequence[FleetEvent] = (),
        green: frozenset[bytes] = frozenset(),
    ) -> Verdict:
        """The verdict on one failed job. `green`: templates of lines that green runs of the job print."""
        if job is not None and job.conclusion in ("success", "skipped", "neutral"):
            return _unknown(())
        scanned = self._scanner.read(log) if log is not None else None
        said = self._annotations(job)
        words = spoken(events, job)
        if job is not None and (finding := settle(job, scanned)):
            return _by_structure(finding, words)
        if said is not None:
            return _verdict(said, Reading(said, None, (), (), None), words, line=0)
        region = find_region(scanned, (job.steps or ()) if job else ()) if scanned else None
        reading = self._read(region, green) if region else Reading(None, None, (), (), None)
        if job is not None and job.conclusion == "cancelled" and (reading.best is None or reading.best.score < LIKELY):
            finding = fall_back(job)
            return _by_structure(finding, words) if finding else _unknown(())
        if reading.best is not None:
            return _verdict(reading.best, reading, words)
        if job is not None and (finding := fall_back(job)):
            return _by_structure(finding, words)
        return _by_events(reading, words) or _unknown(_last_words(reading.step))

    def green_templates(self, logs: Iterable[Iterable[bytes]]) -> frozenset[bytes]:
        """Templates of the lines that rules fit in logs of green runs: the words that prove nothing here."""
        return frozenset(
            masked(hit.body) for log in logs for step in self._scanner.read(log).steps for hit in step.hits()
        )

    def too_loud(self, passing: Sequence[Iterable[bytes]]) -> list[str]:
        """Rules that would speak in more than 1 % of these logs of jobs that passed, one sentence each."""
        loud: dict[str, int] = {}
        for log in passing:
            verdict = self.judge(log)
            if verdict.family is not Family.UNKNOWN and verdict.evidence:
                loud[verdict.evidence[0].rule] = loud.get(verdict.evidence[0].rule, 0) + 1
        return [
            f'rule "{rule}": it speaks in {count} of {len(passing)} logs of jobs that passed. Narrow it.'
            for rule, count in loud.items()
            if count * 100 > len(passing)
        ]

    def _annotations(self, job: JobFacts | None) -> Weighed | None:
        """The best hit in the job's annotations that settles it: the runner's and the service's own words."""
        if job is None or not job.annotations:
            return None
        text = "\n".join(note.message or "" for note in job.annotations).encode()
        step = self._scanner.read([text]).steps[0]
        found = [item for item in weigh(self._rules, self._matcher.near, step, frozenset()) if item.rule.alone]
        return max(found, key=lambda item: item.score, default=None)

    def _read(self, region: Region, green: frozenset[bytes]) -> Reading:
        least = LEAST_FRAMED if region.framed else LEAST_EXCERPT
        refuted: list[Weighed] = []
        first = region.failing[0] if region.failing else None
        for step in region.failing:
            weighed = list(weigh(self._rules, self._matcher.near, step, green))
            refuted += [item for item in weighed if item.dropped]
            if reading := _choose([item for item in weighed if not item.dropped and item.score >= least], step):
                return msgspec.structs.replace(reading, refuted=tuple(refuted))
        far: list[Weighed] = []
        for step in region.others:
            for item in weigh(self._rules, self._matcher.near, step, green):
                if item.dropped or item.score < 80 or step.post:
                    continue
                if item.rule.alone:
                    far.append(item)
                elif item.rule.kind in FAR_KINDS and region.failing:
                    far.append(msgspec.structs.replace(item, score=item.score * FAR_FACTOR))
        reading = _choose(far, first) or Reading(None, None, (), (), first)
        return msgspec.structs.replace(reading, refuted=tuple(refuted))


def _choose(weighed: Sequence[Weighed], step: Step | None) -> Reading | None:
    if not weighed:
        return None
    # Later lines of equal worth stand nearer to the end of the job.
    ranked = sorted(weighed, key=lambda item: (-item.score, item.hit.line))
    code = next((item for item in ranked if item.rule.family is Family.CODE), None)
    best = ranked[0]
    # A warning fails no job by itself, so beside an error of the code it is not the cause.
    least = CODE_SPEAKS if is_warning(best.hit.body) else best.score
    if code is not None and best.rule.family is not Family.CODE and code.score >= min(least, best.score):
        best = code
    also = tuple(item for item in ranked if item is not best and item.rule.kind == best.rule.kind)
    return Reading(best, code, also, (), step)


def _verdict(best: Weighed, reading: Reading, words: Sequence[Word], line: int | None = None) -> Verdict:
    rule, kind = best.rule, best.rule.kind
    if kind == "hung" and reading.step is not None:
        kind = slow_or_hung(reading.step.quiet_s, None)
    text = shown(best.hit.body)
    confirmed = [word for word in words if word.kind == kind and _fits(word, reading, best)]
    other = [word for word in words if word.kind in PATH_KINDS and word.kind != kind and _fits(word, reading, best)]
    if other and not confirmed and (kind in PATH_KINDS or _is_missing_file(text)):
        # Only the host can tell a path that was taken away from one that somebody else owns (P5).
        kind, confirmed = other[0].kind, other
    row = KINDS[kind]
    if row.family is Family.CODE and (switched := _by_events(reading, words)):
        return switched
    confidence: Confidence = "confirmed" if confirmed else "likely" if best.score >= LIKELY else "suspected"
    code_speaks = reading.code is not None and reading.code.score >= CODE_SPEAKS
    return Verdict(
        family=row.family,
        kind=kind,
        fault=Fault.HOST if confirmed and row.family is Family.INFRA else rule.fault or row.fault,
        confidence=confidence,
        rerun=row.rerun and confidence != "suspected" and not code_speaks,
        evidence=tuple(_evidence(item, reading.step, line) for item in (best, *reading.also)[:MOST_EVIDENCE]),
        events=tuple(word.text for word in confirmed),
        refuted=tuple(
            Refuted(kind=item.rule.kind, line=item.hit.line, why=item.dropped or "")
            for item in reading.refuted[:MOST_EVIDENCE]
        ),
        signature=signature(kind, rule.id, best.hit.body),
        remedy=row.remedy,
        better_with=_better_with(kind, bool(words)),
    )


def _fits(word: Word, reading: Reading, best: Weighed) -> bool:
    if word.kind not in PATH_KINDS:
        return True
    items = (best, *reading.also)
    return any(names_path(word, shown(item.hit.body)) for item in items)


def _is_missing_file(text: str) -> bool:
    lower = text.lower()
    return "no such file" in lower or "enoent" in lower or "permission denied" in lower or "failed to create" in lower


def _by_events(reading: Reading, words: Sequence[Word]) -> Verdict | None:
    """A host's fact about what the log quotes only inside a test, or does not explain."""
    quoted = {item.rule.kind for item in reading.refuted if item.dropped == "a failing test printed it"}
    explained = reading.best is not None
    for word in words:
        if word.kind in quoted or (not explained and word.kind in ALONE):
            row = KINDS[word.kind]
            return Verdict(
                family=row.family,
                kind=word.kind,
                fault=Fault.HOST,
                confidence="likely" if word.kind in quoted else "suspected",
                # A test did fail here; the host's fact says why, not that the code is innocent.
                rerun=False,
                evidence=tuple(
                    _evidence(item, reading.step, None) for item in reading.refuted if item.rule.kind == word.kind
                )[:MOST_EVIDENCE],
                events=(word.text,),
                signature=signature(word.kind, "event", b""),
                remedy=row.remedy,
            )
    return None


def _by_structure(finding: Finding, words: Sequence[Word]) -> Verdict:
    row = KINDS[finding.kind]
    confirmed = [word for word in words if word.kind == finding.kind]
    confidence: Confidence = (
        "confirmed" if finding.settled or confirmed else "likely" if finding.likely else "suspected"
    )
    return Verdict(
        family=row.family,
        kind=finding.kind,
        fault=row.fault,
        confidence=confidence,
        rerun=row.rerun and confidence != "suspected",
        evidence=(Evidence(line=0, text=finding.why, rule="structure"),),
        events=tuple(word.text for word in confirmed),
        signature=signature(finding.kind, "structure", b""),
        remedy=row.remedy,
        better_with=_better_with(finding.kind, bool(words)),
    )


def _unknown(evidence: Sequence[Evidence]) -> Verdict:
    row = KINDS["unknown"]
    body = evidence[0].text.encode() if evidence else b""
    return Verdict(
        family=Family.UNKNOWN,
        kind="unknown",
        fault=Fault.UNKNOWN,
        confidence="suspected",
        rerun=False,
        evidence=tuple(evidence),
        signature=signature("unknown", "", body) if evidence else "",
        remedy=row.remedy if evidence else "",
    )


def _last_words(step: Step | None) -> tuple[Evidence, ...]:
    """The lines that an unknown failure is grouped by: what the step said last, and its error."""
    if step is None or not step.errors:
        return ()
    lines = [*step.tail, *step.errors]
    telling = [(at, body) for at, body in lines if body.strip() and b"Process completed with exit code" not in body]
    return tuple(Evidence(line=at, text=shown(body), rule="unmatched", step=step.name) for at, body in telling[-3:])


def _evidence(item: Weighed, step: Step | None, line: int | None) -> Evidence:
    at = item.hit.line if line is None else line
    return Evidence(line=at, text=shown(item.hit.body), rule=item.rule.id, step=step.name if step else None)


def _better_with(kind: str, told: bool) -> str | None:
    if told or kind not in _AGENT_TELLS:
        return None
    return f"An agent on the host could tell {_AGENT_TELLS[kind]}."


_AGENT_TELLS = {
    "disk-full": "which filesystem was full, and what filled it",
    "workspace-race": "who deleted or wrote there",
    "permission": "who owns the path",
    "oom-kill": "whether the kernel killed it",
    "dns": "whether name lookup works there now",
    "network": "whether the network works there now",
    "runner-lost": "what became of the runner's process",
    "runner-shutdown": "who stopped the runner",
    "toolchain-drift": "in what the host differs from its siblings",
    "hung": "what the job's processes waited for",
    "clock-skew": "how far its clock is off",
}
