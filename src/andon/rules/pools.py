"""Which pool serves a job, and whether a job is ours at all (interfaces.md section 10)."""

from collections.abc import Iterable

from andon.model.config import Pool

SELF_HOSTED = "self-hosted"


def fits(job_labels: Iterable[str], pool: Pool) -> bool:
    """Whether the pool's runners carry every label that the job asks for; case does not matter."""
    offered = {label.lower() for label in pool.labels}
    return {label.lower() for label in job_labels} <= offered


def pool_for(job_labels: tuple[str, ...], pools: Iterable[Pool]) -> str | None:
    """The name of the first pool in file order that serves these labels, or None."""
    if not job_labels:
        # No label at all would be served by every pool; GitHub never sends such a job to a runner.
        return None
    return next((pool.name for pool in pools if fits(job_labels, pool)), None)


def is_ours(job_labels: Iterable[str], pools: Iterable[Pool]) -> bool:
    """Whether the job asks for a self-hosted runner or for a label of any pool."""
    ours = {SELF_HOSTED} | {label.lower() for pool in pools for label in pool.labels}
    return any(label.lower() in ours for label in job_labels)
