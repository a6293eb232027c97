"""Journal lines as the pages show them."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from andon.model.journal import Line
from andon.web.story_words import actor, evidence, words


class StoryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a timeline."""

    id: str
    at: datetime
    look: str
    """The noun that it is about (`job`, `claim`, `host`), or `other`."""
    words: str
    actor: str
    kind: str
    reason: str
    observed: bool
    """Whether nothing was done, because the rails only observe."""
    job_id: int | None
    host: str | None
    evidence: tuple[tuple[str, str], ...]


def story_lines(lines: Iterable[Line]) -> tuple[StoryLine, ...]:
    """The lines in their order."""
    return tuple(_line(line) for line in lines)


def _line(line: Line) -> StoryLine:
    entry = line.entry
    noun = entry.kind.partition(".")[0]
    return StoryLine(
        id=line.id,
        at=line.at,
        look=noun if noun in ("job", "claim", "host") else "other",
        words=words(entry),
        actor=actor(entry),
        kind=entry.kind,
        reason=entry.reason,
        observed=entry.mode == "observe",
        job_id=entry.job_id,
        host=entry.host,
        evidence=tuple(evidence(entry)),
    )
