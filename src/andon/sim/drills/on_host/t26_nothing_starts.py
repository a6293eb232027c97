"""T26: every start fails on a host that looks well. It gives no slot, and so draws no jobs."""

import asyncio

from andon.sim.drills.on_host.host_drill import HostDrill, Stage
from andon.sim.stage.loop_filesystem import NotHere


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    if await process.wait():
        raise NotHere(f"{command[0]} was refused on this machine", kernel=True)


async def _story(stage: Stage) -> None:
    await stage.until(lambda: 1 in stage.control.slots and stage.control.slots[1].state == "idle", "the slot is ready")
    await stage.stop_agent()
    place = stage.root.slots / "1"
    place.mkdir(parents=True, exist_ok=True)
    await _run("mount", "-t", "tmpfs", "-o", "ro,size=4k", "tmpfs", str(place))
    try:
        stage.control.slots.clear()
        await stage.start_agent()
        await stage.until(lambda: 1 in stage.control.slots, "the slot is told")
        stage.expect(
            stage.control.slots[1].state == "unavailable", "a slot on which nothing starts is offered for jobs"
        )
    finally:
        await _run("umount", str(place))
    await stage.stop_agent()
    stage.control.slots.clear()
    await stage.start_agent()
    await stage.until(lambda: 1 in stage.control.slots and stage.control.slots[1].state == "idle", "it is ready again")


DRILLS = (
    HostDrill(
        id="T26c",
        title="nothing starts on a host that looks well",
        protection="start probe",
        story=_story,
        needs_root="it needs root, to take a slot its place",
    ),
)
