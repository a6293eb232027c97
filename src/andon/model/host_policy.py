"""What every host is told of the configuration, with each answer to a sync, and keeps for when nobody answers."""

import msgspec

from andon.model.config import Pool, Workspace
from andon.model.rails import RailMode

HELD_BY_LABELS = "held_by_labels"
"""In the `policy` of one host: the numbers of adopted slots that are not open and that GitHub sends no job to, for
their labels are taken off or their group is another. Their listeners go on; of others the listener is stopped."""


class HostPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The `policy` of a SyncAnswer. A key that an older control plane does not send has its default."""

    public_url: str | None = None
    """For the link that a job's log shows."""
    workspaces: dict[str, Workspace] = {}
    """`[pool.workspace]` by the pool's name; a pool without one has the defaults."""
    slot_pools: dict[str, str] = {}
    """The pools of the host's slots, by number: of what was adopted, only the control plane knows them, from labels."""
    guard: RailMode = "act"
    """Whether directories of jobs may be taken away (R31, R98)."""


def policy_for_hosts(public_url: str, pools: tuple[Pool, ...]) -> HostPolicy:
    """What the configuration says to hosts."""
    told = {pool.name: pool.workspace for pool in pools if pool.workspace != Workspace()}
    return HostPolicy(public_url=public_url, workspaces=told)
