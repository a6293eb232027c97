"""One real agent, alone with a control plane that is played, for what is measured of an agent."""

import contextlib
import json
import tempfile
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from andon.model.wire import ClaimOrder
from andon.runtime.clock import Clock
from andon.runtime.errors import AndonError
from andon.runtime.files import write_atomically
from andon.sim.drills.on_host.stand_in_control_plane import TOKEN, StandInControlPlane
from andon.sim.stage.ending import end_runners
from andon.sim.stage.process import StageProcess

_PATIENCE_S = 60.0


class StagedAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that is ready, and what it talks to."""

    folder: Path
    """Every user's; what runners are to write goes here."""
    control: StandInControlPlane
    process: StageProcess
    clock: Clock

    def claim(self, slot: int, task: str) -> None:
        """A runner on this slot; `task` takes the place of its JIT config. `control.tell` sends it out."""
        name = f"c{slot}"
        self.control.claims[name] = ClaimOrder(
            id=f"clm_{name}",
            generation=1,
            slot=slot,
            runner=f"andon-bench-{slot}-{name}",
            jit=task,
            deadline=self.clock.now() + timedelta(minutes=5),
        )

    async def written(self, name: str, *, within_s: float = _PATIENCE_S) -> str:
        """What a runner wrote into this file of the folder. Raises AndonError when it never does."""
        path, until = self.folder / name, self.clock.monotonic() + within_s
        while not path.exists():
            if self.process.ended:
                raise AndonError(self.process.obituary())
            if self.clock.monotonic() > until:
                raise AndonError(f"The runner that was to write {name} did not; nothing was measured.")
            await self.clock.sleep(0.1)
        return path.read_text()


@contextlib.asynccontextmanager
async def staged_agent(
    *, slots: int, command: Sequence[str], clock: Clock, held_s: float
) -> AsyncGenerator[StagedAgent]:
    """An agent with `slots` slots that start `command`; everything it started is gone afterwards.

    A sync without news is held for `held_s` seconds.
    """
    control = StandInControlPlane(held_s)
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as place:
        data = Path(place)
        folder = _prepared(data)
        async with control.answering():
            file = data / "andon.toml"
            write_atomically(file, _configuration(control.url, slots, command).encode(), durable=False)
            arguments = ("agent", "run", "--config", str(file), "--data", str(data))
            process = await StageProcess.start("agent", arguments, log=data / "agent.log")
            try:
                await process.ready()
                yield StagedAgent(folder=folder, control=control, process=process, clock=clock)
            finally:
                await process.end()
                await end_runners(data / "root", clock)


def _prepared(data: Path) -> Path:
    """The agent's token in place, and the folder that runners write into."""
    data.chmod(0o755)
    token = data / "its.token"
    write_atomically(token, TOKEN.encode(), durable=False)
    token.chmod(0o600)
    folder = data / "told"
    folder.mkdir()
    return folder


def _configuration(server: str, slots: int, command: Sequence[str]) -> str:
    return f"""# Written by Andon for a benchmark.
[agent]
name = "bench"
server = "{server}"
root = "root"
token_file = "its.token"

[[agent.slots]]
pool = "linux"
count = {slots}
command = {json.dumps(list(command))}

# This machine's own disk is none of its business.
[agent.disk]
soft_percent = 0.003
hard_percent = 0.002
emergency_percent = 0.001
"""
