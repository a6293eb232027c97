"""P9, P13, P14: what is not ours to say. Who deleted it, whose the bytes are, and what holds the disk."""

import asyncio
from pathlib import Path

from andon.agent.sockets import ask_agent
from andon.model.disk import PathClass
from andon.sim.drills.on_host.host_drill import HostDrill, Stage
from andon.sim.stage.loop_filesystem import fill

_WORKS = 'echo "$ANDON_WORKSPACE" > "$DRILL/works.path"; read -r line < "$DRILL/works.leave"\n'


async def _deleted(stage: Stage) -> None:
    stage.begin("works", _WORKS)
    path = Path(await stage.said("works.path"))
    await stage.until(lambda: stage.state_of(str(path)) == "leased", "the agent watches it")
    script = stage.folder / "cleanup.sh"
    script.write_text(f"#!/bin/sh\nrm -rf {path.parent}/*\n")
    script.chmod(0o755)
    await (await asyncio.create_subprocess_exec(str(script))).wait()
    await stage.until(
        lambda: any(one.actor == "foreign" and one.path == str(path) for one in stage.control.deletions.values()),
        "it is told that somebody deleted a live directory",
    )
    foreign = [one for one in stage.control.deletions.values() if one.path == str(path)]
    stage.expect("The process" in foreign[0].evidence[0], "nobody is named for it")
    await stage.leave("works")


async def _account(stage: Stage) -> None:
    """Brings the agent's account up to date; it is worked out twice a minute otherwise."""
    await asyncio.to_thread(ask_agent, stage.root.socket, {"v": 1, "disk": "plan"})


async def _unknown(stage: Stage) -> None:
    stage.begin("works", _WORKS)
    await stage.said("works.path")
    (stage.root.path / "merge-queue-cache").mkdir()
    (stage.root.path / "merge-queue-cache" / "objects").write_bytes(b"x" * 4096)
    await _account(stage)
    await stage.until(
        lambda: any(
            each.path_class is PathClass.UNKNOWN and each.count == 1
            for one in stage.control.disk.values()
            for each in one.classes
        ),
        "bytes that no rule names are told",
    )
    stage.expect((stage.root.path / "merge-queue-cache" / "objects").exists(), "what is nobody's was touched")
    await stage.leave("works")


async def _all_live(stage: Stage) -> None:
    stage.begin("works", f'head -c 40M /dev/urandom > "$ANDON_WORKSPACE/out"; {_WORKS}')
    path = Path(await stage.said("works.path"))
    fill(stage.disk, leave=stage.total * 7 // 100)
    await stage.until(lambda: stage.level() == "hard", "the agent sees it")
    await _account(stage)
    await stage.until(lambda: bool(stage.reported().passes), "a pass that could free nothing says so")
    report = stage.reported()
    stage.expect(report.passes[0].removed == 0, "something went, although everything is in use")
    stage.expect([one.path for one in report.pinned] == [str(path)], "what holds the disk is not named")
    stage.expect("its job runs" in report.pinned[0].by, "it is not said why it stays")
    await stage.leave("works")


DRILLS = (
    HostDrill(
        id="P9",
        title="a clean-up of somebody else deletes a live directory",
        protection="foreign deletions",
        story=_deleted,
        needs_root="it needs root, to be told by the kernel who deletes",
    ),
    HostDrill(
        id="P13",
        title="a directory that no rule names lies on the host's disk",
        protection="classes",
        story=_unknown,
        disk_mib=256,
    ),
    HostDrill(
        id="P14",
        title="the disk is short of room, and everything on it is in use",
        protection="what pins the room",
        story=_all_live,
        disk_mib=256,
    ),
)
