"""P3: the cancelled attempt's process goes on writing while the next attempt builds on the same host."""

import os
import signal
from pathlib import Path

from andon.model.wire import JobWord
from andon.sim.drills.on_host.host_drill import HostDrill, Stage

_POLICY = {"workspaces": {"p": {"export": {"CARGO_TARGET_DIR": "target"}}}}
_WRITES_ON = """
echo "$CARGO_TARGET_DIR" > "$DRILL/old.path"
setsid bash -c 'trap "" TERM INT HUP
  cd "$CARGO_TARGET_DIR" || exit
  while :; do echo old >> object.tmp && mv object.tmp object; echo $$ > "$DRILL/old.writer"; done' < /dev/null &
"""
_BUILDS = """
echo "$CARGO_TARGET_DIR" > "$DRILL/new.path"
echo new > "$CARGO_TARGET_DIR/object"
read -r line < "$DRILL/new.leave"
cat "$CARGO_TARGET_DIR/object" > "$DRILL/new.object"
"""


async def _story(stage: Stage) -> None:
    stage.begin("old", _WRITES_ON, lingers=True)
    writer = int(await stage.said("old.writer"))
    try:
        await _while_it_writes(stage)
    finally:
        # It hears no other signal: only its own end ends it.
        os.kill(writer, signal.SIGKILL)
    old = Path(await stage.said("old.path"))
    stage.control.tell()
    await stage.until(lambda: not old.parent.exists(), "its directory goes once nothing can write in it")


async def _while_it_writes(stage: Stage) -> None:
    await stage.said("old.result")
    old = Path(await stage.said("old.path"))
    stage.control.runs = {"7": "completed"}
    stage.control.jobs = {old.parent.name: JobWord(id=1, conclusion="cancelled")}
    stage.begin("new", _BUILDS, slot=1, attempt=2)
    new = Path(await stage.said("new.path"))
    stage.expect(old != new, "the next attempt was given the directory that the cancelled one writes in")
    await stage.looks()
    stage.expect((old / "object").exists(), "the directory was taken from under a process that still wrote in it")
    await stage.leave("new")
    stage.expect(await stage.said("new.object") == "new", "the old attempt's process wrote over the new one's file")
    await stage.leave("old")
    await stage.until(lambda: "clm_old" in stage.control.ends, "the old runner ends")
    await stage.looks()
    stage.expect((old / "object").exists(), "the directory was taken when the runner was gone, and not its process")


DRILLS = (
    HostDrill(
        id="P3",
        title="a cancelled attempt's process writes on while the next attempt builds",
        protection="directories in use",
        story=_story,
        policy=_POLICY,
    ),
)
