"""Processes that are none: the coroutines of one program, which end together as by SIGKILL."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from typing import Any

_RUNNING: ContextVar["Process | None"] = ContextVar("running process", default=None)


class Process:
    """Everything that was started inside `inside` belongs to it, and all that those started."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self._tasks: dict[asyncio.Task[Any], None] = {}

    @contextlib.contextmanager
    def inside(self) -> Generator[None]:
        """Coroutines that are started within are this process's."""
        token = _RUNNING.set(self)
        try:
            yield
        finally:
            _RUNNING.reset(token)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Starts one of its coroutines from outside."""
        with self.inside():
            return asyncio.get_running_loop().create_task(work)

    async def end(self, *, before: Callable[[], None] = lambda: None) -> None:
        """Ends it at once. `before` cuts it off from the world, so that no last word of it gets out."""
        self.alive = False
        before()
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
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
        process = _RUNNING.get()
        if process is not None:
            process.add(task)
        return task

    loop.set_task_factory(factory)
