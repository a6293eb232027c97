"""Runs one agent as a process of its own: what `andon agent run` does, with the tests' patience."""

import asyncio
import signal
import sys
from pathlib import Path

import msgspec

from andon.agent.run import run_agent
from andon.agent.timing import Timing
from andon.model.config import Config
from andon.runtime.clock import SystemClock
from andon.runtime.environment import environment
from andon.runtime.errors import Refused
from andon.runtime.logging import set_up_logging
from andon.runtime.toml_file import load_toml


async def main(path: Path, timing: Timing) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_agent(
        load_toml(path, Config),
        config_path=path,
        data=path.parent,
        clock=SystemClock(),
        environ=environment(),
        announce=lambda line: print(msgspec.json.encode(line).decode(), flush=True),
        stop=stop,
        timing=timing,
    )


if __name__ == "__main__":
    set_up_logging(program="agent")
    try:
        asyncio.run(main(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Timing)))
    except Refused as refused:
        print(f"andon: {refused}", file=sys.stderr)
        sys.exit(2)
