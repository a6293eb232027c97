"""The agent's door for hooks, served on a thread of its own, with workspaces that a test makes up."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from andon.agent.hooks.answers import Begun, Ended
from andon.agent.hooks.caller import RunnerProcess
from andon.agent.hooks.door import HookDoor
from andon.agent.sockets import QuestionDoor
from andon.model.workspaces import JobIdentity, JobProcess
from andon.runtime.errors import Refused
from andon.runtime.logging import logger


class MadeUpWorkspaces:
    """Answers what it was given, and keeps what it was asked."""

    def __init__(self) -> None:
        self.begun: list[tuple[JobIdentity, JobProcess, int, str | None]] = []
        self.ended: list[tuple[JobIdentity, JobProcess, int]] = []
        self.answer = Begun(workspace="1-1-job-0123456789", env={"ANDON_WORKSPACE": "/some/where"})
        self.refusal: str | None = None

    async def begin(self, job: JobIdentity, process: JobProcess, slot: int, claim: str | None) -> Begun:
        self.begun.append((job, process, slot, claim))
        if self.refusal:
            raise Refused(self.refusal)
        return self.answer

    async def end(self, job: JobIdentity, process: JobProcess, slot: int) -> Ended:
        self.ended.append((job, process, slot))
        return Ended(notices=("bye",))


@contextmanager
def served_door(
    path: Path, workspaces: MadeUpWorkspaces, runners: Callable[[], Sequence[RunnerProcess]]
) -> Iterator[None]:
    """Serves `path` until left."""
    ready = threading.Event()
    hosting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        hooks = HookDoor(
            workspaces, runners, host="host-a", public_url=lambda: "https://board.example/", log=logger("agent")
        )
        door = QuestionDoor(lambda: {}, hooks.answer)
        stop = asyncio.Event()
        await door.open(path)
        hosting.append((asyncio.get_running_loop(), stop))
        ready.set()
        await stop.wait()
        await door.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        loop, stop = hosting[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join()
