"""P11: no process of the run is left, but its next job is queued and will want the directory's host."""

from pathlib import Path

from andon.model.wire import JobWord
from andon.sim.drills.on_host.host_drill import HostDrill, Stage


async def _story(stage: Stage) -> None:
    stage.begin("first", 'echo "$ANDON_WORKSPACE" > "$DRILL/first.path"; echo built > "$ANDON_WORKSPACE/artifact"')
    path = Path(await stage.said("first.path"))
    stage.control.runs = {"7": "queued"}
    stage.control.jobs = {path.name: JobWord(id=1, conclusion="success")}
    stage.control.tell()
    await stage.until(lambda: "clm_first" in stage.control.ends, "its runner ends")
    await stage.until(lambda: stage.state_of(str(path)) in ("dead", None), "nothing uses it any more")
    await stage.looks()
    stage.expect((path / "artifact").exists(), "a directory was taken while a job of its run was still queued")
    stage.control.runs = {"7": "completed"}
    stage.control.tell()
    await stage.until(lambda: not path.exists(), "it goes when the run is over")


DRILLS = (
    HostDrill(
        id="P11",
        title="a run has no process left here, and its next job is queued",
        protection="runs that go on",
        story=_story,
    ),
)
