"""P2, P8: room is needed while neighbours build. What nothing uses goes, as much as is needed; what lives stays."""

from pathlib import Path

from andon.model.wire import JobWord
from andon.sim.drills.on_host.host_drill import HostDrill, Stage
from andon.sim.stage.loop_filesystem import fill

_BUILDS = """
echo "$ANDON_WORKSPACE" > "$DRILL/{name}.path"
mkdir -p "$ANDON_WORKSPACE/target" && head -c {mib}M /dev/urandom > "$ANDON_WORKSPACE/target/objects"
"""


async def _over(stage: Stage, name: str, run: int, *, mib: int, slot: int = 1) -> Path:
    """A job that failed, and whose run is over: its directory is evidence for a day."""
    stage.begin(name, _BUILDS.format(name=name, mib=mib), run=run, slot=slot)
    path = Path(await stage.said(f"{name}.path"))
    await stage.until(lambda: f"clm_{name}" in stage.control.ends, f"{name} ends")
    stage.control.runs[str(run)] = "completed"
    stage.control.jobs[path.name] = JobWord(id=run, conclusion="failure")
    await stage.until(lambda: stage.hears() and stage.state_of(str(path)) == "dead", f"{name} is kept")
    return path


async def _neighbours(stage: Stage) -> None:
    stage.begin("lives", _BUILDS.format(name="lives", mib=20) + 'read -r line < "$DRILL/lives.leave"\n')
    lives = Path(await stage.said("lives.path"))
    dead = await _over(stage, "dead", 8, mib=10)
    fill(stage.disk, leave=stage.total * 3 // 100)
    await stage.until(lambda: stage.hears() and not dead.exists(), "what nothing uses goes")
    await stage.looks()
    stage.expect((lives / "target" / "objects").exists(), "a neighbour's live directory was taken for its room")
    await stage.leave("lives")
    await stage.until(lambda: stage.says("lives.result") is not None, "the neighbour ends")
    stage.expect(stage.says("lives.result") == "0", "the neighbour's build failed")


async def _evidence(stage: Stage) -> None:
    older = await _over(stage, "older", 8, mib=40)
    newer = await _over(stage, "newer", 9, mib=40)
    fill(stage.disk, leave=stage.total * 13 // 100)
    await stage.until(lambda: stage.hears() and not older.exists(), "evidence goes when its room is needed")
    await stage.looks()
    stage.expect(newer.exists(), "more went than was needed")


DRILLS = (
    HostDrill(
        id="P2",
        title="the disk is short of room while a neighbour builds",
        protection="a guard that looks",
        story=_neighbours,
        disk_mib=256,
    ),
    HostDrill(
        id="P8",
        title="failed runs are kept, and their room is needed",
        protection="room that is needed",
        story=_evidence,
        disk_mib=512,
    ),
)
