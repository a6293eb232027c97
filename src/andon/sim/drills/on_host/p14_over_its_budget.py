"""P14: one build writes without end beside one that was promised its room. It is ended alone, the other is well."""

from pathlib import Path

from andon.model.wire import JobWord
from andon.sim.drills.on_host.host_drill import HostDrill, Stage

_MIB = 1 << 20
_NEEDS = 150
_WRITES = """
echo "$ANDON_WORKSPACE" > "$DRILL/{name}.path"; read -r line < "$DRILL/{name}.leave"
for part in $(seq {parts}); do head -c 2M /dev/zero > "$ANDON_WORKSPACE/part-$part"; sleep {pause}; done
"""


async def _begin(stage: Stage, name: str, slot: int, *, parts: int, pause: float, expected: int) -> None:
    stage.begin(name, _WRITES.format(name=name, parts=parts, pause=pause), slot=slot)
    path = Path(await stage.said(f"{name}.path"))
    stage.control.jobs[path.name] = JobWord(id=slot, expected=expected * _MIB)
    await stage.until(lambda: stage.hears() and stage.state_of(str(path)) == "leased", f"{name} is known")


async def _story(stage: Stage) -> None:
    await _begin(stage, "keeps", 0, parts=_NEEDS // 2, pause=0.08, expected=_NEEDS)
    await _begin(stage, "takes", 1, parts=2000, pause=0.02, expected=20)
    for name in ("keeps", "takes"):
        await stage.leave(name)
    await stage.until(lambda: stage.says("takes.result") is not None, "who takes the room is ended")
    stage.expect(stage.says("takes.result") != "0", "it wrote more than the disk has")
    await stage.until(lambda: stage.says("keeps.result") is not None, "the other one is over")
    stage.expect(stage.says("keeps.result") == "0", "a neighbour met a full disk that was promised its room")
    said = [words for each in stage.control.leases.values() for words in each.held_by]
    stage.expect(any(words.startswith("its steps were ended") for words in said), "nobody is told why")


DRILLS = (
    HostDrill(
        id="P14b",
        title="a job writes far more than its kind, and takes the room of its neighbour",
        protection="budgets",
        story=_story,
        disk_mib=400,
    ),
)
