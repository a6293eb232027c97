"""S1, as far as the agent goes: the control plane is away and the agent is started anew, while a job goes on."""

from pathlib import Path

from andon.model.wire import JobWord
from andon.sim.drills.on_host.host_drill import HostDrill, Stage

_LONG = """
echo "$ANDON_WORKSPACE" > "$DRILL/long.path"
read -r line < "$DRILL/long.leave"
echo kept > "$ANDON_WORKSPACE/object"
"""


async def _story(stage: Stage) -> None:
    stage.begin("long", _LONG)
    path = Path(await stage.said("long.path"))

    def is_there() -> bool:
        return path.exists()

    await stage.stop_agent()
    stage.control.leases = {}
    await stage.start_agent()
    # A wrong word on top: the run is called over while its job lives.
    stage.control.runs = {"7": "completed"}
    stage.control.jobs = {path.name: JobWord(id=1, conclusion="success")}
    await stage.looks()
    stage.expect(is_there(), "an agent that was started anew took the directory of a living job")
    await stage.until(lambda: stage.state_of(str(path)) is not None, "the directory is reported again")
    stage.expect(stage.state_of(str(path)) == "leased", f"the job lives, and its lease is {stage.state_of(str(path))}")
    await stage.leave("long")
    stage.expect(await stage.said("long.result") == "0", "the job lost what it had")
    await stage.until(lambda: "clm_long" in stage.control.ends, "its end is reported")


DRILLS = (
    HostDrill(
        id="S1",
        title="the agent is started anew while a job goes on, and hears that its run is over",
        protection="leases over restarts",
        story=_story,
    ),
)
