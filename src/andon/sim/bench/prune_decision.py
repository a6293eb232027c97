"""How long it takes to find out that a directory may go, beside many processes of others (host-facts.md 2.2)."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from andon.agent.leases.evidence import Evidence
from andon.agent.leases.place import lease_folder, open_place
from andon.agent.leases.table import LeaseTable
from andon.agent.process_identity import boot_id
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import JobIdentity, LeaseRecord
from andon.runtime.clock import Clock
from andon.runtime.errors import AndonError
from andon.sim.bench.crowd import crowd
from andon.sim.bench.silence import Silence


async def prune_decisions(rounds: int, clock: Clock, *, processes: int) -> list[float]:
    """Milliseconds of each: the lease's lock, and the look at everything that could still use the directory."""
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as folder, crowd(processes):
        place = open_place(lease_folder(Path(folder), environ={"XDG_RUNTIME_DIR": ""}, uid=os.geteuid()))
        table = LeaseTable.open(place, boot_id(), Silence())
        with contextlib.ExitStack() as at_the_end:
            at_the_end.callback(shutil.rmtree, place.path, ignore_errors=True)
            at_the_end.callback(table.close)
            evidence = Evidence(clock, boot_id())
            times: list[float] = []
            for number in range(rounds):
                record = _over(Path(folder) / str(number), clock)
                table.take(record)
                began = clock.monotonic()
                with table.try_exclusive(record.id):
                    found = await evidence.holds((record,), table.lock_files())
                    times.append((clock.monotonic() - began) * 1000)
                    if found[record.id]:
                        raise AndonError(f"A directory that nothing uses seemed used: {found[record.id][0].text}")
                    table.drop(record.id)
    return times


def _over(folder: Path, clock: Clock) -> LeaseRecord:
    """A workspace whose job is over and which nothing uses."""
    folder.mkdir()
    found = folder.stat()
    return LeaseRecord(
        id=f"bench-{folder.name}",
        state=WorkspaceState.DEAD,
        path=str(folder),
        device=found.st_dev,
        inode=found.st_ino,
        slot=0,
        claim=None,
        job=JobIdentity(repository="acme/app", run_id=1, attempt=1, job="build", runner="bench"),
        boot_id=boot_id(),
        process=None,
        made_at=clock.now(),
        made_up_s=0.0,
    )
