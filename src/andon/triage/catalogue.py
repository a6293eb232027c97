"""The rule catalogue: read from the package, checked whenever it is loaded, local rules before ours.

A rule that does not find its own examples, or finds what it says it must not, is no rule (R75).
"""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from importlib import resources

import re2

from andon.model.failure_kinds import KINDS
from andon.runtime.toml_file import parse_toml
from andon.triage.lines import parse, without_colours
from andon.triage.matcher import Matcher, compile_pattern, texts_of
from andon.triage.rule import Rule, RuleFile

MOST_RULES = 1000


def read_rules(name: str, text: str) -> tuple[Rule, ...]:
    """Rules of one file. Raises UnusableFile with file and line where the TOML or a key is wrong."""
    return parse_toml(name, text, RuleFile).rule


@cache
def packaged() -> tuple[Rule, ...]:
    """The rules that come with Andon, in the order of their files' names."""
    folder = resources.files("andon.triage") / "rules"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".toml")), key=lambda entry: entry.name)
    return tuple(rule for entry in files for rule in read_rules(entry.name, entry.read_text(encoding="utf-8")))


def together(local: Sequence[Rule], ours: Sequence[Rule]) -> tuple[Rule, ...]:
    """Local rules, and ours without those whose id a local one has."""
    replaced = {rule.id for rule in local}
    return (*local, *(rule for rule in ours if rule.id not in replaced))


def faults(rules: Sequence[Rule], *, local: int = 0) -> list[str]:
    """What is wrong, one sentence each; empty: the rules can be used.

    The first `local` rules are somebody's own, and may speak before ours.
    """
    found: list[str] = []
    seen: set[str] = set()
    if len(rules) > MOST_RULES:
        found.append(f"{len(rules)} rules are more than {MOST_RULES}. Put some together.")
    sound: list[Rule] = []
    for rule in rules:
        own = list(_faults_of(rule))
        if rule.id in seen:
            own.append("its id is taken already. Give it another.")
        seen.add(rule.id)
        found += [f'rule "{rule.id}": {fault}' for fault in own]
        if not own:
            sound.append(rule)
    own_ids = {rule.id for rule in rules[:local]}
    return found + _shadowed(sound, own_ids)


def hits(matcher: Matcher, text: str) -> dict[int, set[int]]:
    """Which rules (numbers) fit which lines (from 0) of an example, with what they want nearby."""
    bodies = [parse(without_colours(line.encode())).body for line in text.split("\n")]
    out: dict[int, set[int]] = {}
    for at, body in enumerate(bodies):
        for number in matcher.fitting(body):
            near = matcher.near[number]
            around = bodies[max(0, at - NEAR_LINES) : at + NEAR_LINES + 1]
            if near is None or any(near.search(other) for other in around):
                out.setdefault(number, set()).add(at)
    return out


NEAR_LINES = 8
"""How far `near` looks, in lines, either way."""


def _faults_of(rule: Rule) -> Iterable[str]:
    if rule.kind not in KINDS or rule.kind == "unknown":
        yield f'"{rule.kind}" is no kind. Known: {", ".join(sorted(set(KINDS) - {"unknown"}))}.'
        return
    if not 1 <= rule.weight <= 100:
        yield f"weight {rule.weight} is not between 1 and 100."
    for key, pattern in (("match", rule.match), ("not_match", rule.not_match), ("near", rule.near)):
        try:
            if pattern is not None:
                compile_pattern(pattern)
        except re2.error as error:
            why = error.args[0] if error.args else error
            yield f"{key} is no RE2 pattern ({why.decode() if isinstance(why, bytes) else why})."
            return
    texts = texts_of(rule)
    if texts is None:
        yield "match holds no text of three letters that every line must have. Name some in find."
        return
    if not rule.examples.match or not rule.examples.no_match:
        yield "it has no examples of both sorts. Give examples.match and examples.no_match."
    alone = Matcher([rule])
    for example in rule.examples.match:
        lines = hits(alone, example).get(0)
        if lines is None:
            yield f"it does not fit its own example {example!r}."
        elif not any(_holds(example.split("\n")[at], texts) for at in lines):
            yield f"none of the texts it is found by stands in its example {example!r}."
    for example in rule.examples.no_match:
        if hits(alone, example):
            yield f"it fits {example!r}, which it says it must not."


def _holds(line: str, texts: Sequence[str]) -> bool:
    return any(text.lower() in line.lower() for text in texts)


def _shadowed(rules: Sequence[Rule], local: Collection[str]) -> list[str]:
    """A rule all of whose examples are decided by one heavier rule, or an equal one before it."""
    matcher = Matcher(rules)
    found: list[str] = []
    for number, rule in enumerate(rules):
        per_example = [hits(matcher, example) for example in rule.examples.match]
        stronger: list[set[int]] = [
            {
                other
                for other, lines in example.items()
                if other != number
                and (rules[other].id not in local or rule.id in local)
                and lines >= example.get(number, set())
                and (-rules[other].weight, other) < (-rule.weight, number)
            }
            for example in per_example
        ]
        if stronger and (always := stronger[0].intersection(*stronger[1:])):
            other = rules[min(always)]
            found.append(f'rule "{rule.id}": "{other.id}" speaks first in all its examples. Narrow one of them.')
    return found
