"""`andon triage`: whose failure a log shows; `andon triage rules ...`: rules of one's own (R75)."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import msgspec
from cyclopts import App, Parameter

from andon.cli.exits import FINDING, FINE, UNUSABLE
from andon.cli.options import Json
from andon.cli.output import make_console, plain, print_json, strong, word
from andon.model.failure_kinds import Family
from andon.model.verdict import Verdict
from andon.runtime.errors import Refused

if TYPE_CHECKING:
    from andon.triage.engine import Engine

_PIECE = 1 << 20
_CODES = {
    Family.CODE: FINE,
    Family.CANCELLED: FINE,
    Family.INFRA: FINDING,
    Family.TIMEOUT: FINDING,
    Family.UNKNOWN: UNUSABLE,
}
LocalRules = Annotated[
    Path | None, Parameter(name="--rules", help="Rules of your own (TOML); one with the id of ours takes its place.")
]


def triage(
    file: Annotated[
        str, Parameter(allow_leading_hyphen=True, help="A job's log or an excerpt; - is standard input.")
    ] = "-",
    /,
    *,
    job: Annotated[Path | None, Parameter(help="The jobs API's object of the job, as JSON.")] = None,
    events: Annotated[Path | None, Parameter(help="Fleet events as a JSON list.")] = None,
    green: Annotated[
        tuple[Path, ...], Parameter(help="Logs of green runs of the same job: what they print, too, proves nothing.")
    ] = (),
    rules: LocalRules = None,
    batch: Annotated[bool, Parameter(negative="", help='Read JSON lines {"id", "text", "job", "events"}.')] = False,
    json: Json = False,
) -> int:
    """Says whose failure a log shows, of which kind, and on which lines that stands.

    Exit code 0: code or cancelled, 1: infrastructure or a timeout, 2: unknown or unreadable.
    """
    _no_option(file)
    engine = _engine(rules)
    if batch:
        return _batch(engine, file)
    from andon.triage.facts import fleet_events, job_facts

    known = engine.green_templates(_of_file(str(path)) for path in green)
    verdict = engine.judge(
        _of_file(file),
        job=job_facts(_json_file(job)) if job else None,
        events=fleet_events(_json_file(events)) if events else (),
        green=known,
    )
    if json:
        print_json(verdict)
    else:
        _print(verdict)
    return _CODES[verdict.family]


def _no_option(file: str) -> None:
    """So that - may stand for standard input, every word may begin with one."""
    if file.startswith("-") and file != "-":
        raise Refused(f"Unknown option: {file}. See `andon triage --help`; write ./{file} for a file of that name.")


def rules_check(
    files: Annotated[tuple[Path, ...], Parameter(help="Rule files. None: the rules that come with Andon.")] = (),
    /,
    *,
    passing: Annotated[
        tuple[Path, ...], Parameter(help="Logs of jobs that passed: a rule that speaks in more than 1 % is refused.")
    ] = (),
    json: Json = False,
) -> int:
    """Checks rules as they are checked when they are loaded. Exit code 2: they cannot be used."""
    from andon.triage.catalogue import faults, packaged, read_rules, together
    from andon.triage.engine import Engine

    local = tuple(rule for file in files for rule in read_rules(str(file), _text_file(file)))
    found = faults(together(local, packaged()), local=len(local))
    if not found and passing:
        found = Engine(local or packaged()).too_loud([_of_file(str(path)) for path in passing])
    count = len(local) if files else len(packaged())
    if json:
        print_json({"rules": count, "faults": found})
    else:
        console = make_console()
        for fault in found:
            console.print(plain(fault), soft_wrap=True)
        console.print(plain(f"{count} rules, {len(found)} faults."))
    return UNUSABLE if found else FINE


def rules_draft(
    file: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help='JSON lines {"id", "text", "cost_minutes"} of unknown failures; - is standard input.',
        ),
    ] = "-",
    /,
    *,
    group: Annotated[
        str | None, Parameter(help="Signature of the group to draft a rule of. None: list the groups.")
    ] = None,
    kind: Annotated[str, Parameter(help="The kind that the rule is for.")] = "network",
    json: Json = False,
) -> int:
    """Groups unknown failures by what differs in nothing but numbers and names, dearest first; drafts a rule of one."""
    from andon.triage.draft import draft_rule
    from andon.triage.grouping import Unknown, group_unknown

    _no_option(file)
    engine = _engine(None)
    unknown: list[Unknown] = []
    for row in _rows(file):
        verdict = engine.judge([str(row.get("text") or "").encode()])
        if verdict.family is Family.UNKNOWN:
            minutes = row.get("cost_minutes")
            cost = float(minutes) if isinstance(minutes, int | float) else 1.0
            lines = tuple(item.text for item in verdict.evidence)
            unknown.append(Unknown(id=str(row.get("id")), lines=lines, cost_minutes=cost))
    groups = group_unknown(unknown)
    if group is not None:
        chosen = next((item for item in groups if item.signature == group), None)
        if chosen is None:
            raise Refused(f'no group "{group}". Run the command without --group to list them.')
        sys.stdout.write(draft_rule(chosen, kind))
    elif json:
        print_json(groups)
    else:
        console = make_console()
        for item in groups:
            console.print(plain(f"{item.signature}  {len(item.ids)} times  {item.cost_minutes:g} min  {item.template}"))
    return FINE


def _engine(rules: Path | None) -> "Engine":
    # Imported on call: the base install has no RE2.
    from andon.triage.catalogue import faults, packaged, read_rules, together
    from andon.triage.engine import Engine

    if rules is None:
        return Engine(packaged())
    local = read_rules(str(rules), _text_file(rules))
    used = together(local, packaged())
    if found := faults(used, local=len(local)):
        raise Refused(f"{rules}: {found[0]} Run `andon triage rules check {rules}` for all of it.")
    return Engine(used)


def _batch(engine: "Engine", file: str) -> int:
    from andon.triage.facts import fleet_events, job_facts

    encoder = msgspec.json.Encoder()
    for row in _rows(file):
        text = row.get("text")
        verdict = engine.judge(
            None if text is None else [str(text).encode("utf-8", "surrogatepass")],
            job=job_facts(row.get("job")),
            events=fleet_events(row.get("events")),
        )
        line = encoder.encode({"id": row.get("id"), **msgspec.to_builtins(verdict)})
        sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
    return FINE


def _rows(file: str) -> Iterator[dict[str, Any]]:
    with _opened(file) as source:
        for number, line in enumerate(source, start=1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Refused(f"{file}:{number}: no JSON object ({error}). Give one on each line.") from None
            yield row


def _of_file(file: str) -> Iterator[bytes]:
    with _opened(file) as source:
        while piece := source.read(_PIECE):
            yield piece


def _opened(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise Refused(f"{file}: cannot be read ({error.strerror}). Name a log, or - for standard input.") from None


def _text_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: cannot be read ({error}). Name a TOML file of rules.") from None


def _json_file(path: Path) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise Refused(f"{path}: no JSON that can be read ({error}).") from None


_WHOSE = {
    Family.INFRA: "ours",
    Family.CODE: "yours",
    Family.TIMEOUT: "a time limit",
    Family.CANCELLED: "cancelled",
    Family.UNKNOWN: "unknown",
}


def _print(verdict: Verdict) -> None:
    console = make_console()
    head = f"{_WHOSE[verdict.family]}: {verdict.kind}" if verdict.kind != "unknown" else "unknown"
    console.print(strong(f"{head} ({verdict.confidence}, fault: {verdict.fault})"))
    for item in verdict.evidence:
        where = f"line {item.line}" if item.line else "structure"
        console.print(plain(f"  {where}  [{item.rule}]  {item.text}"), soft_wrap=True)
    for event in verdict.events:
        console.print(plain(f"  event  {event}"), soft_wrap=True)
    for other in verdict.refuted:
        console.print(plain(f"  not {other.kind} (line {other.line}): {other.why}"), soft_wrap=True)
    console.print("  rerun ", word("can help" if verdict.rerun else "not advised"), sep="")
    for text in (verdict.remedy, verdict.better_with):
        if text:
            console.print(plain(f"  {text}"), soft_wrap=True)


app = App(name="triage", help="Whose failure a log shows: yours or ours.", help_format="plaintext")
app.default(triage)
_rules = App(name="rules", help="The rules that verdicts stand on.", help_format="plaintext")
_rules.command(rules_check, name="check", help="Check rules of your own, or ours.")
_rules.command(rules_draft, name="draft", help="Group unknown failures; make a draft of a rule.")
app.command(_rules)
