"""P1, S2: the host's disk fills up. No job begins where it could not write, and what runs goes on and is heard of."""

from andon.sim.drills.on_host.host_drill import HostDrill, Stage
from andon.sim.stage.loop_filesystem import fill, give_back

_SMALL = 256
_WAITS = 'echo here > "$DRILL/runs.began"; read -r line < "$DRILL/runs.leave"; '


async def _filled(stage: Stage) -> None:
    """A job runs on one slot; then a tenth of the disk is not free any more."""
    stage.begin("runs", 'echo here > "$DRILL/runs.began"', lingers=True)
    await stage.said("runs.began")
    fill(stage.disk, leave=stage.total * 7 // 100)
    await stage.until(lambda: stage.level() in ("hard", "emergency"), "the agent sees it")


async def _a_running_job(stage: Stage) -> None:
    stage.begin("runs", _WAITS + 'head -c 1M /dev/zero > "$ANDON_WORKSPACE/out"')
    await stage.said("runs.began")
    await stage.until(lambda: (stage.root.path / "ballast").exists(), "room is kept for the worst")
    fill(stage.disk)
    await stage.until(lambda: stage.level() == "emergency", "nothing is left")
    await stage.leave("runs")
    await stage.until(lambda: "clm_runs" in stage.control.ends, "the running job's end is told")
    stage.expect(stage.says("runs.result") == "0", "the job that ran could not write its last files")
    stage.expect(stage.control.ends["clm_runs"].exit == 0, "how the runner ended could not be written down")
    await stage.until(lambda: not (stage.root.path / "ballast").exists(), "the room that was kept is given up")
    give_back(stage.disk / "filler")
    await stage.until(lambda: stage.level() == "ok", "with room it is well again")


async def _a_new_job(stage: Stage) -> None:
    await _filled(stage)
    stage.begin("late", 'dd if=/dev/zero of="$ANDON_WORKSPACE/out" bs=1M count=30', slot=1)
    await stage.until(
        lambda: stage.says("late.result") is not None or "clm_late" in stage.control.ends, "it is decided"
    )
    stage.expect(stage.says("late.result") is None, "a job began where it had no room")
    await stage.until(lambda: stage.control.slots[1].state == "unavailable", "the slot says that it takes no job")
    stage.expect(stage.says("runs.result") is None or stage.says("runs.result") == "0", "the running job was ended")
    await stage.leave("runs")
    give_back(stage.disk / "filler")
    await stage.until(lambda: stage.control.slots[1].state == "idle", "with room the slot comes back")


DRILLS = (
    HostDrill(
        id="P1",
        title="the disk is full to the last byte while a job runs",
        protection="ballast",
        story=_a_running_job,
        disk_mib=_SMALL,
    ),
    HostDrill(
        id="S2",
        title="a job is sent to a host whose disk is short of room",
        protection="watermarks",
        story=_a_new_job,
        disk_mib=_SMALL,
    ),
)
