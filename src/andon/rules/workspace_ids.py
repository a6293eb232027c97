"""What the id of a workspace says: its run, its attempt and the workflow's key of its job (interfaces.md section 4).

The link in a job's log has the id. The workspace is soon gone, and the id still leads to its job.
"""

import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from andon.model.nouns import Job

_SHAPE = re.compile(r"([0-9]{1,18})-([0-9]{1,9})-([a-z0-9-]{0,32})-([A-Za-z0-9]{4,32})")
_LEG = " ("
"""Where the values of a matrix begin in a job's name."""
J = TypeVar("J", bound=Job)


class IdParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a workspace's id that name its job."""

    run_id: int
    attempt: int
    key: str
    """GITHUB_JOB, of which only a-z, 0-9 and hyphens are left, and no more than 32."""


def parts_of(id: str) -> IdParts | None:
    """The parts of the id, or None: it has not the shape of one."""
    found = _SHAPE.fullmatch(id)
    if found is None:
        return None
    return IdParts(run_id=int(found[1]), attempt=int(found[2]), key=found[3])


def jobs_behind(parts: IdParts, jobs: Iterable[J]) -> list[J]:
    """The jobs of a run that the id may be of: those whose name is its key, else every job of its attempt.

    A job may have a name of its own, and the legs of a matrix have one key.
    """
    of_attempt = [job for job in jobs if job.attempt == parts.attempt]
    named = [job for job in of_attempt if parts.key and _plain(job.name.split(_LEG, 1)[0]) == _plain(parts.key)]
    return named or of_attempt


def _plain(name: str) -> str:
    # Underscores and the like may have become hyphens, or nothing: only letters and digits are compared.
    return re.sub(r"[^a-z0-9]", "", name.lower())[:24]
