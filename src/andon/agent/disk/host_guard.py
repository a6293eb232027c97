"""Puts the guard of one host together."""

import os
from collections.abc import Callable, Iterable, Mapping

from andon.agent.disk.account import Share
from andon.agent.disk.ballast import Ballast
from andon.agent.disk.filesystems import Filesystems, Use
from andon.agent.disk.guard import Acts, Guard
from andon.agent.disk.seat import Seat
from andon.agent.layout import Root
from andon.agent.leases.place import lease_folder
from andon.model.config import Disk
from andon.model.rails import RailMode
from andon.runtime.clock import Clock, seconds_since_boot
from andon.runtime.logging import Logger
from andon.runtime.loop import Nudge


def guard_of(
    root: Root,
    uses: Callable[[], Iterable[Use]],
    acts: Acts,
    *,
    marks: Disk,
    mode: Callable[[], RailMode],
    busy: Callable[[], bool],
    share_of: Callable[[str], Share],
    changed: Nudge,
    environ: Mapping[str, str],
    clock: Clock,
    log: Logger,
) -> Guard:
    """The guard of the agent on `root`. Its seat lies beside the leases, which have a place by then."""
    seat = lease_folder(root.path, environ=environ, uid=os.geteuid()).parent / "guard.lock"
    return Guard(
        Filesystems(uses, clock=clock),
        Ballast(root.ballast, log),
        Seat(seat, log),
        root.path,
        marks,
        acts,
        mode=mode,
        busy=busy,
        share_of=share_of,
        up_s=seconds_since_boot,
        changed=changed,
        clock=clock,
        log=log,
    )
