"""A small agent: leases and the guard that goes with them, and nothing else. Ended by SIGKILL at any time.

    agent_program.py FOLDER PLACE guard|idle

It makes `runs/<id>` for whoever connects, holds its lease, and with `guard` removes what nothing
uses, as the agent's keeper does: all of it by one look. Prints a line when it has recovered.
"""

import asyncio
import json
import socket
import struct
import sys
from datetime import UTC, datetime
from pathlib import Path

from andon.agent.disk.history import History
from andon.agent.disk.journal import DeletionJournal
from andon.agent.leases.evidence import Evidence
from andon.agent.leases.place import open_place
from andon.agent.leases.table import LeaseTable
from andon.agent.leases.watching import LeaseWatch
from andon.agent.process_identity import boot_id, lives, start_ticks
from andon.agent.workspaces.parts import ToGo
from andon.agent.workspaces.removing import LeasedRemover
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import JobIdentity, JobProcess, LeaseRecord
from andon.runtime.clock import SystemClock
from andon.runtime.ids import new_mark
from andon.runtime.logging import logger, set_up_logging

FOLDER, PLACE, GUARDS = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "guard"
CLOCK = SystemClock()


def say(what: str, id: str) -> None:
    with (FOLDER / "events").open("a") as file:
        file.write(json.dumps({"what": what, "id": id, "by": "agent"}) + "\n")


def works(pid: int, start: int) -> bool:
    """A process that is ending lets go of its directory first, and of its life a moment later."""
    try:
        Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return False
    return lives(pid, start)


def check(gone: Path, id: str) -> None:
    """Whoever lives now lived when its directory was taken away."""
    owners = [line.split() for line in (gone / "owners").read_text().splitlines()] if (gone / "owners").exists() else []
    say("hit" if any(works(int(pid), int(start)) for pid, start in owners) else "removed", id)


def put_aside(record: LeaseRecord, name: str) -> str | None:
    path, gone = Path(record.path), FOLDER / "trash" / record.id
    if not path.exists():
        raise FileNotFoundError
    if path.stat().st_ino != record.inode:
        return "another one"
    path.rename(gone)
    check(gone, record.id)
    return None


class Agent:
    def __init__(self) -> None:
        place, log = open_place(PLACE), logger("agent")
        self.table = LeaseTable.open(place, boot_id(), log, spares=8)
        self.evidence = Evidence(CLOCK, boot_id())
        self.remover = LeasedRemover(
            self.table,
            self.evidence,
            put_aside,
            DeletionJournal(place.journal, History(FOLDER / "history", log), log),
            size_of=lambda record: None,
            nonce=new_mark,
            clock=CLOCK,
        )
        self.news = asyncio.Event()
        self.watch = LeaseWatch(self.news.set)

    async def begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer: socket.socket = writer.get_extra_info("socket")
        pid, uid, gid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        start = start_ticks(pid)
        if start is not None:
            # Never one that was used, whichever agent answers.
            id = f"run-{pid}-{start}-{int(CLOCK.monotonic() * 1e6)}"
            path = FOLDER / "runs" / id
            path.mkdir()
            found = path.stat()
            record = LeaseRecord(
                id=id,
                state=WorkspaceState.LEASED,
                path=str(path),
                device=found.st_dev,
                inode=found.st_ino,
                slot=0,
                claim=None,
                job=JobIdentity(repository="o/r", run_id=1, attempt=1, job="j", runner="r"),
                boot_id=boot_id(),
                process=JobProcess(pid=pid, start=start, uid=uid, gid=gid),
                made_at=datetime.now(UTC),
            )
            self.table.take(record)
            self.watch.keep(self.table.records())
            say("begun", id)
            writer.write(f"{path}\n".encode())
        writer.close()

    async def guard(self) -> None:
        while True:
            self.news.clear()
            self.table.upkeep()
            records = self.table.records()
            found = await self.evidence.holds(records, self.table.lock_files())
            free = [record for record in records if not found[record.id]]
            await self.remover.take_away(tuple(ToGo(record=one, actor="agent:keeper", reason="") for one in free))
            self.watch.keep(self.table.records())
            try:
                await asyncio.wait_for(self.news.wait(), 0.02)
            except TimeoutError:
                pass

    def remove_unleased(self) -> None:
        """Made by an agent that was ended before it could take the lease: nobody was told of it."""
        known = {record.id for record in self.table.records()}
        for path in (FOLDER / "runs").iterdir():
            if path.name not in known and not (path / "owners").exists():
                path.rmdir()

    async def run(self) -> None:
        await self.table.recover(CLOCK)
        self.remove_unleased()
        self.watch.keep(self.table.records())
        (FOLDER / "agent.sock").unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self.begin, FOLDER / "agent.sock")
        print("ready", flush=True)
        async with server:
            await (self.guard() if GUARDS else server.serve_forever())


set_up_logging(program="agent")
asyncio.run(Agent().run())
