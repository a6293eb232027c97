"""Ends of processes are told by the kernel, also of those that were gone before anybody could watch."""

import asyncio
import subprocess

from andon.agent.process_identity import start_ticks
from andon.agent.watches import Watches


def test_each_end_is_told_once_and_an_end_before_the_watch_as_well():
    with subprocess.Popen(["sleep", "1000"]) as living, subprocess.Popen(["sleep", "1000"]) as gone:
        names = {(one.pid, start_ticks(one.pid)) for one in (living, gone)}
        gone.kill()
        gone.wait()
        try:
            asyncio.run(watch(names, living))
        finally:
            living.kill()


async def watch(names, living) -> None:
    told = asyncio.Queue[None]()
    watches = Watches(lambda: told.put_nowait(None))
    watches.keep(names)
    watches.keep(names)
    assert told.qsize() == 1, "gone between the look and the watch"
    told.get_nowait()
    living.kill()
    await asyncio.wait_for(told.get(), 20)
    living.wait()
    watches.keep(names)
    await asyncio.sleep(0)
    assert told.empty(), "an end is told once"
    watches.close()
