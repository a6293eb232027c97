"""A small control plane over real HTTP, and agents as real processes."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from andon.agent.cgroups import end_cgroup, remove_cgroup
from andon.agent.held import Held, look
from andon.agent.layout import Root
from andon.agent.leases.place import lease_folder
from andon.agent.process_identity import boot_id, end_session
from andon.model.disk import Deletion, DiskReport
from andon.model.wire import (
    SEQ_HEADER,
    ClaimOrder,
    EndReport,
    EnrolRequest,
    JobWord,
    LeaseReport,
    SlotReport,
    StopOrder,
    SyncAnswer,
    SyncRequest,
)
from tests.support.low_marks import LOW_MARKS

PATIENCE_S = 20.0
HELD_S = 5.0
"""How long a sync without news is held: an answer that the agent gave up waiting for is given again after that."""
TOKEN = "aht_of-this-host"
SECRET = "the-enrolment-secret"
PROGRAM = Path(__file__).with_name("agent_program.py")
TIMING = {
    "look": 0.5,
    "first_retry": 0.05,
    "longest_retry": 0.2,
    "refused_retry": 0.2,
    "interrupt": 0.4,
    "terminate": 0.4,
    "breath": 0.05,
    "settle": 0.02,
    "remove_again": 0.3,
}


class FakeControlPlane:
    """Speaks interfaces.md section 5: level-triggered, one held sync, seq and ack."""

    def __init__(self, port: int = 0) -> None:
        self.changed = threading.Condition()
        self.enrolments: list[EnrolRequest] = []
        self.requests: list[SyncRequest] = []
        self.bodies: list[dict[str, object]] = []
        self.slots: dict[int, SlotReport] = {}
        self.ends: list[EndReport] = []
        self.claims: dict[str, ClaimOrder] = {}
        self.stops: list[StopOrder] = []
        self.leases: tuple[LeaseReport, ...] = ()
        self.told_deletions: dict[str, Deletion] = {}
        self.disk: dict[str, DiskReport] = {}
        """By mount."""
        self.runs: dict[str, str] = {}
        self.jobs: dict[str, JobWord] = {}
        self.policy: dict[str, object] = {"public_url": "https://board.example"}
        self.acknowledging = True
        self.refusing: int | None = None
        self.resync = False
        self.newest_seq = 0
        """Reports up to this number are not read."""
        self.unread_at: list[float] = []
        """When they came, in monotonic seconds."""
        self.tells_newest = True
        self.host_intent = "open"
        self.in_its_words: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer
        """How a control plane of another version says the same answer."""
        self._version = self._told = 0
        self._wake: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        routes = [
            Route("/agent/v1/enrol", self._enrol, methods=["POST"]),
            Route("/agent/v1/sync", self._sync, methods=["POST"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.run(self._server.serve([self.socket]))

    def close(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self.tell()
        self._thread.join()
        self.socket.close()

    def tell(self) -> None:
        """Something new stands here: whoever is held gets it."""
        self._version += 1
        if self._loop is not None and self._wake is not None:
            self._loop.call_soon_threadsafe(self._wake.set)

    def claim(
        self, name: str, slot: int = 0, *, generation: int = 1, jit: str = "jit-text", late: bool = False
    ) -> None:
        deadline = datetime.now(UTC) + timedelta(seconds=-5 if late else 60)
        self.claims[name] = ClaimOrder(
            id=name, generation=generation, slot=slot, runner=f"andon-f-h-{slot}-{name}", jit=jit, deadline=deadline
        )
        self.tell()

    def stop(self, name: str, generation: int = 1) -> None:
        self.stops.append(StopOrder(claim=name, generation=generation))
        self.tell()

    def until(self, true: Callable[[], object], what: str) -> None:
        """Waits for a request after which `true` holds."""
        with self.changed:
            assert self.changed.wait_for(true, PATIENCE_S), f"never: {what}; slots {self.slots}, ends {self.ends}"

    def until_slot(self, slot: int, state: str) -> SlotReport:
        self.until(lambda: slot in self.slots and self.slots[slot].state == state, f"slot {slot} {state}")
        return self.slots[slot]

    def until_end(self, claim: str) -> EndReport:
        self.until(lambda: any(end.claim == claim for end in self.ends), f"end of {claim}")
        return next(end for end in self.ends if end.claim == claim)

    async def _enrol(self, request: Request) -> Response:
        wanted = msgspec.json.decode(await request.body(), type=EnrolRequest)
        with self.changed:
            self.enrolments.append(wanted)
            self.changed.notify_all()
        if self.refusing:
            error = {"code": "no", "message": "This is refused.", "hint": None}
            return JSONResponse({"error": error}, status_code=self.refusing)
        if wanted.token != SECRET:
            return JSONResponse({"error": {"code": "token", "message": "Unknown token."}}, status_code=401)
        return JSONResponse({"host_token": TOKEN}, status_code=201)

    async def _sync(self, request: Request) -> Response:
        body = await request.body()
        asked = msgspec.json.decode(body, type=SyncRequest)
        if asked.seq <= self.newest_seq:
            with self.changed:
                self.unread_at.append(time.monotonic())
                self.changed.notify_all()
            told = {SEQ_HEADER: str(self.newest_seq)} if self.tells_newest else {}
            return Response(status_code=204, headers=told)
        refusing = self.refusing
        if request.headers["authorization"] != f"Bearer {TOKEN}":
            refusing = 401
        with self.changed:
            self.requests.append(asked)
            self.bodies.append(msgspec.json.decode(body))
            if refusing is None:
                self._learn(asked)
            self.changed.notify_all()
        if refusing is not None:
            return JSONResponse({"error": {"code": "no", "message": "This is refused."}}, status_code=refusing)
        if not asked.ended and not asked.deletions and not self._orders() and not self._stops_open():
            self._loop = asyncio.get_running_loop()
            self._wake = wake = asyncio.Event()
            while self._version == self._told and self.requests[-1].seq == asked.seq:
                try:
                    await asyncio.wait_for(wake.wait(), HELD_S)
                except TimeoutError:
                    break
                wake.clear()
            if self.requests[-1].seq != asked.seq:
                return Response(status_code=204)
        resync, self.resync = self.resync, False
        self._told = self._version
        answer = SyncAnswer(
            ack=asked.seq if self.acknowledging else 0,
            resync=resync,
            intent={"host": self.host_intent},
            claims=self._orders(),
            stop=tuple(self.stops),
            policy=self.policy,
            runs=self.runs,
            jobs=self.jobs,
        )
        told = self.in_its_words(msgspec.to_builtins(answer))
        return Response(msgspec.json.encode(told), media_type="application/json")

    def _learn(self, asked: SyncRequest) -> None:
        if asked.slots is not None:
            self.slots = {slot.slot: slot for slot in asked.slots}
        if asked.leases is not None:
            self.leases = asked.leases
        if asked.disk is not None:
            self.disk = {one.mount: one for one in asked.disk}
        self.ends.extend(asked.ended)
        self.told_deletions |= {one.id: one for one in asked.deletions}
        if self._wake is not None:
            self._wake.set()

    @property
    def deletions(self) -> tuple[Deletion, ...]:
        """As they were told last, in the order of their first telling."""
        return tuple(self.told_deletions.values())

    def _stops_open(self) -> bool:
        named = {(order.claim, order.generation) for order in self.stops}
        return any((slot.claim, slot.generation) in named and slot.state != "stopping" for slot in self.slots.values())

    def _orders(self) -> tuple[ClaimOrder, ...]:
        known = {(slot.claim, slot.generation) for slot in self.slots.values()} | {
            (end.claim, end.generation) for end in self.ends
        }
        return tuple(order for order in self.claims.values() if (order.id, order.generation) not in known)


@dataclass
class AgentProcess:
    """One agent and everything that it started."""

    folder: Path
    config: Path
    root: Root
    timing: dict[str, float]
    process: subprocess.Popen[str] | None = None
    environ: dict[str, str] = field(default_factory=dict)
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "agent.log"

    def start(self) -> dict[str, object]:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), str(self.config), msgspec.json.encode(self.timing).decode()],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "ANDON_SECRET_OF_OURS": "x", "PLAIN": "kept", **self.environ},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        return msgspec.json.decode(line)

    def end(self, number: int) -> int:
        assert self.process is not None and self.process.stdout is not None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        self.process = None
        return code

    def held(self) -> tuple[Held, ...]:
        return look(self.root, boot_id()) if self.root.slots.exists() else ()

    def one(self, claim: str) -> Held:
        return next(one for one in self.held() if one.claim.claim == claim)

    def clean_up(self) -> None:
        if self.process is not None:
            self.end(signal.SIGKILL)
        shutil.rmtree(lease_folder(self.root.path, environ=os.environ, uid=os.geteuid()), ignore_errors=True)
        for one in self.held():
            if one.status is not None and one.status.pid is not None and one.status.pid_start is not None:
                end_session(one.status.pid, one.status.pid_start)
        wait_until(lambda: not any(one.live for one in self.held()), "all shims over")
        for one in self.held():
            if one.status is not None:
                end_cgroup(one.status.cgroup)
                wait_until(lambda cgroup=one.status.cgroup: remove_cgroup(cgroup), "its cgroup is empty")


def wait_until(true: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """For what gives no signal: looks again and again, with a deadline."""
    deadline = datetime.now(UTC) + timedelta(seconds=patience_s)
    pause = threading.Event()
    while not true():
        assert datetime.now(UTC) < deadline, f"never: {what}"
        pause.wait(0.02)


@pytest.fixture
def server() -> Iterator[FakeControlPlane]:
    one = FakeControlPlane()
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def make_agent(tmp_path: Path, server: FakeControlPlane) -> Iterator[Callable[..., AgentProcess]]:
    """`make_agent(script, ...)`: an agent whose runner is a shell script, or any command."""
    made: list[AgentProcess] = []

    def make(
        script: str = "",
        *,
        count: int = 1,
        command: list[str] | None = None,
        user: str | None = None,
        token: str | None = TOKEN,
        url: str = server.url,
        timing: dict[str, float] | None = None,
        isolation: str = "preferred",
        marks: dict[str, float] | None = None,
        root: Path | None = None,
    ) -> AgentProcess:
        # Slots may have users of their own, who must reach the root through every folder above it.
        folder = tmp_path / f"data{len(made)}"
        folder.mkdir()
        words = command or ["/bin/sh", "-c", script]
        lines = [
            "[agent]",
            'name = "host-a"',
            f'server = "{url}"',
            f'root = "{root or "root"}"',
            'token_file = "its.token"',
            f'isolation = "{isolation}"',
            "[[agent.slots]]",
            'pool = "p"',
            f"count = {count}",
            f"command = {msgspec.json.encode(words).decode()}",
        ]
        if user:
            lines.append(f'user = "{user}"')
        if marks is None:
            lines.append(LOW_MARKS)
        else:
            lines += ["[agent.disk]", *(f"{mark} = {percent}" for mark, percent in marks.items())]
        (folder / "andon.toml").write_text("\n".join(lines) + "\n")
        if token:
            (folder / "its.token").write_text(token)
        agent = AgentProcess(
            folder=folder,
            config=folder / "andon.toml",
            root=Root(path=root or folder / "root"),
            timing={**TIMING, **(timing or {})},
        )
        made.append(agent)
        return agent

    yield make
    for agent in made:
        agent.clean_up()


@pytest.fixture
def until() -> Callable[[Callable[[], object], str], None]:
    return wait_until
