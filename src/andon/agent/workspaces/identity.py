"""A workspace's id, which is also its directory's name: made by us, so that no text of a job becomes a path (R50)."""

import re
from typing import NamedTuple

from andon.model.workspaces import JobIdentity

_LONGEST_JOB = 32
_NONCE = r"[0-9a-z]{10}"
_ID = re.compile(rf"(0|[1-9][0-9]{{0,18}})-(0|[1-9][0-9]{{0,8}})-((?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)?)-({_NONCE})\Z")
LARGEST_RUN, LARGEST_ATTEMPT = 2**63 - 1, 999_999_999


class Named(NamedTuple):
    """What an id says of its job."""

    run_id: int
    attempt: int
    job: str
    """The workflow's key of the job, reduced."""


def workspace_id(job: JobIdentity, nonce: str) -> str:
    """`<run>-<attempt>-<job>-<nonce>`; `nonce` is ten small letters and digits that nobody had before."""
    return f"{job.run_id}-{job.attempt}-{reduced(job.job)}-{nonce}"


def reduced(name: str) -> str:
    """`name` as what may stand in a path: a-z, 0-9 and single hyphens, at most 32; may be empty."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower())
    return plain[:_LONGEST_JOB].strip("-")


def parse(name: str) -> Named | None:
    """What a directory's name says; None for one that is not ours."""
    found = _ID.match(name)
    if found is None:
        return None
    run_id, attempt = int(found[1]), int(found[2])
    return Named(run_id, attempt, found[3]) if run_id <= LARGEST_RUN else None
