"""A host that is driven over each mark of its disk and back, and what was seen meanwhile (R52)."""

import asyncio
import contextlib
import csv
from collections.abc import Callable
from pathlib import Path

import msgspec

from andon.agent.trees.size import tree_size
from andon.model.wire import JobWord
from andon.runtime.clock import SystemClock
from andon.sim.drills.on_host.host_drill import Stage, staged
from andon.sim.stage.loop_filesystem import fill, give_back

DISK_MIB = 1024
_EVERY_S = 0.25
"""Between two samples."""
_CALM_S = 10.0
"""What is left as it is for a while, so that the picture shows it."""
_TRASH_S = 100.0
"""What went frees its room after the minute in which it can be had back."""
_WRITES = """
mkdir -p "$ANDON_WORKSPACE/target" && head -c {mib}M /dev/urandom > "$ANDON_WORKSPACE/target/objects"
echo "$ANDON_WORKSPACE" > "$DRILL/{name}.path"
"""


class MarkSample(msgspec.Struct, frozen=True, kw_only=True):
    """What was so at one moment. Bytes; `seconds` since the recording began."""

    seconds: float
    total: int
    free: int
    level: str
    """As the agent told it last."""
    live: int
    dead: int
    trash: int
    ballast: int
    slot: str
    """The state of the slot that has no job, as it was told last."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done, or that followed."""

    seconds: float
    text: str


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was seen, in order."""

    samples: tuple[MarkSample, ...]
    steps: tuple[Step, ...]
    violations: tuple[str, ...]

    def write_samples(self, path: Path) -> None:
        """As CSV."""
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(MarkSample.__struct_fields__)
            rows.writerows(msgspec.structs.astuple(sample) for sample in self.samples)


class _Recorder:
    """Looks at the stage while the story goes on."""

    def __init__(self, stage: Stage, say: Callable[[str], None]) -> None:
        self._stage, self._say = stage, say
        self._began = stage.clock.monotonic()
        self.samples: list[MarkSample] = []
        self.steps: list[Step] = []
        self._level: str | None = None

    def step(self, text: str) -> None:
        """Notes it, and shows it to who waits."""
        step = Step(seconds=round(self._stage.clock.monotonic() - self._began, 1), text=text)
        self.steps.append(step)
        self._say(f"{step.seconds:6.1f} s  {text}")

    async def look_on(self) -> None:
        """Until it is cancelled."""
        while True:
            self._look()
            await self._stage.clock.sleep(_EVERY_S)

    def _look(self) -> None:
        stage = self._stage
        level = stage.level()
        if level is not None and level != self._level:
            self.step(f"the agent tells the level {level}")
            self._level = level
        ballast = stage.root.path / "ballast"
        slot = stage.control.slots.get(1)
        self.samples.append(
            MarkSample(
                seconds=round(stage.clock.monotonic() - self._began, 2),
                total=stage.total,
                free=stage.free,
                level=level or "",
                live=self._sizes(dead=False),
                dead=self._sizes(dead=True),
                trash=_size(stage.root.trash),
                ballast=ballast.stat().st_size if ballast.exists() else 0,
                slot="" if slot is None else slot.state,
            )
        )

    def _sizes(self, *, dead: bool) -> int:
        """Measured here, since the agent measures a host's directories only twice a minute."""
        leases = self._stage.control.leases.values()
        return sum(_size(Path(each.path)) for each in leases if each.path and (each.state == "dead") is dead)


def record(say: Callable[[str], None]) -> Recording:
    """Drives a host of its own over the marks; some minutes, for what goes lies in the trash for one.

    Raises NotHere where no filesystem can be mounted.
    """
    return asyncio.run(_recorded(say))


async def _recorded(say: Callable[[str], None]) -> Recording:
    async with staged(SystemClock(), disk_mib=DISK_MIB) as stage:
        recorder = _Recorder(stage, say)
        looking = asyncio.create_task(recorder.look_on(), name="recorder")
        try:
            await _story(stage, recorder.step)
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking
        return Recording(
            samples=tuple(recorder.samples), steps=tuple(recorder.steps), violations=tuple(stage.violations)
        )


async def _story(stage: Stage, step: Callable[[str], None]) -> None:
    step("a build begins, and writes 100 MiB")
    stage.begin("builds", _WRITES.format(name="builds", mib=100) + 'read -r line < "$DRILL/builds.leave"\n')
    live = Path(await stage.said("builds.path"))
    dead = [await _failed(stage, f"failed-{number}", number) for number in (8, 9, 10)]
    step("three failed builds of 80 MiB each are kept for a day")

    step("somebody else's files grow until 14 % are free")
    _leave(stage, 14)
    await stage.until(lambda: stage.hears() and _gone(dead) >= 1, "evidence goes at the soft mark")
    step(f"{_gone(dead)} of the failed builds went into the trash; the others are not needed")
    await stage.until(lambda: stage.level() == "ok", "there is room again", _TRASH_S)
    stage.expect(_gone(dead) < len(dead), "more went than was needed")

    step("with the minute over there is room again")
    await stage.clock.sleep(_CALM_S)

    step("they grow until 9 % are free")
    _leave(stage, 9)
    await stage.until(lambda: stage.level() in ("hard", "emergency"), "the agent sees the hard mark")
    await stage.until(lambda: stage.control.slots[1].state == "unavailable", "the idle slot is closed")
    step("the idle slot takes no job")
    await stage.until(lambda: stage.hears() and _gone(dead) == len(dead), "everything that nothing uses goes")
    step("all failed builds went into the trash")
    await stage.until(lambda: stage.level() == "ok", "there is room again", _TRASH_S)
    await stage.until(lambda: stage.control.slots[1].state == "idle", "the slot is back")
    step("the slot takes jobs again")
    await stage.clock.sleep(_CALM_S)

    step("they grow to the last byte")
    give_back(stage.disk / "filler")
    fill(stage.disk)
    await stage.until(lambda: stage.level() == "emergency", "the agent sees it")
    await stage.until(lambda: not (stage.root.path / "ballast").exists(), "the ballast is given up")
    step("the ballast is given up: what runs can write its last files")
    stage.expect((live / "target" / "objects").exists(), "the live build was touched")
    await stage.clock.sleep(_CALM_S)
    step("somebody makes room")
    give_back(stage.disk / "filler")
    await stage.until(lambda: stage.level() == "ok", "it is well again", _TRASH_S)
    await stage.until(lambda: (stage.root.path / "ballast").exists(), "the ballast is taken again", _TRASH_S)
    step("the ballast is there again")
    stage.expect((live / "target" / "objects").exists(), "the live build was touched")
    await stage.leave("builds")
    await stage.until(lambda: stage.says("builds.result") is not None, "the build ends")
    stage.expect(stage.says("builds.result") == "0", "the live build failed")
    step("the build that ran all the time ends well")


async def _failed(stage: Stage, name: str, run: int) -> Path:
    stage.begin(name, _WRITES.format(name=name, mib=80), run=run, slot=1)
    path = Path(await stage.said(f"{name}.path"))
    await stage.until(lambda: f"clm_{name}" in stage.control.ends, f"{name} ends")
    stage.control.runs[str(run)] = "completed"
    stage.control.jobs[path.name] = JobWord(id=run, conclusion="failure")
    await stage.until(lambda: stage.hears() and stage.state_of(str(path)) == "dead", f"{name} is kept")
    return path


def _leave(stage: Stage, percent: int) -> None:
    give_back(stage.disk / "filler")
    fill(stage.disk, leave=stage.total * percent // 100)


def _gone(paths: list[Path]) -> int:
    return sum(not path.exists() for path in paths)


def _size(path: Path) -> int:
    try:
        return tree_size(path)
    except OSError:
        # It went into the trash, or out of it, meanwhile.
        return 0
