"""A group of unknown failures as a draft of a rule: for a person to narrow, and to give examples that must not fit."""

import json
import re

from andon.triage.grouping import Group

_MASK = re.compile(r"<(?:url|id|path|address|hex|n)>")
_SPACE = re.compile(r"\s+")
_PLAIN = re.compile(r"([.^$*+?()\[\]{}|\\])")


def draft_rule(group: Group, kind: str) -> str:
    """TOML for one rule. Its example that must not fit is a placeholder that somebody replaces."""
    pieces = [_SPACE.sub(r"\\s+", _PLAIN.sub(r"\\\1", piece)) for piece in _MASK.split(group.template)]
    pattern = r"\S+".join(pieces)
    quote = "'''" if "'" in pattern else "'"
    name = re.sub(r"[^a-z0-9]+", "-", group.template.lower()).strip("-")[:40].strip("-") or "unnamed"
    return "\n".join(
        (
            f"# {len(group.ids)} failures, {group.cost_minutes:g} minutes. "
            "Narrow the pattern, and say what it must not fit.",
            "[[rule]]",
            f'id = "local.{name}"',
            f'kind = "{kind}"',
            f"match = {quote}{pattern}{quote}",
            "weight = 60",
            f"examples.match = {json.dumps(list(group.examples), ensure_ascii=False)}",
            'examples.no_match = ["a line like it from a job that passed"]',
            "",
        )
    )
