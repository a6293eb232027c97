"""Processes that are none: the coroutines of one program, which end together as by SIGKILL."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from andon.sim.virtual_loop import OWNER, running_loop


class Process:
    """Everything that was started inside `inside` belongs to it, and all that those started."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self._tasks: dict[asyncio.Task[Any], None] = {}

    @contextlib.contextmanager
    def inside(self) -> Generator[None]:
        """Coroutines that are started within are this process's."""
        token = OWNER.set(self)
        try:
            yield
        finally:
            OWNER.reset(token)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Starts one of its coroutines from outside."""
        with self.inside():
            return asyncio.get_running_loop().create_task(work)

    def stop(self) -> None:
        """SIGSTOP: it stands still where it is. Its sockets take what comes, and answer nothing."""
        running_loop().hold(self)

    def go_on(self) -> None:
        """SIGCONT."""
        running_loop().let_go(self)

    async def end(self, *, before: Callable[[], None] = lambda: None) -> None:
        """Ends it at once. `before` cuts it off from the world, so that no last word of it gets out."""
        self.alive = False
        before()
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            # One that stands still ends too; cancelled first, so that it does nothing more.
            self.go_on()
            await asyncio.gather(*tasks, return_exceptions=True)

    def add(self, task: asyncio.Task[Any]) -> None:
        """Takes note of one of its tasks."""
        self._tasks[task] = None
        task.add_done_callback(self._drop)

    def _drop(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled():
            # Looked at: a program that is gone leaves nobody to be told.
            task.exception()


def note_owners(loop: asyncio.AbstractEventLoop) -> None:
    """Makes the loop tell each process of the tasks that are started in its name."""

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> Any:
        task = asyncio.Task(coroutine, loop=loop, **more)
        process = OWNER.get()
        if isinstance(process, Process):
            process.add(task)
        return task

    loop.set_task_factory(factory)
