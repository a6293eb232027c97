"""`andon up`: the control plane, and the agent of the same file."""

import asyncio
import os
from typing import Annotated

from cyclopts import Parameter

from andon.cli.agent_process import ensure_agent, knows_address
from andon.cli.configuration import load_for_control_plane
from andon.cli.exits import FINE
from andon.cli.options import ConfigFile, DataFolder, Listen
from andon.cli.service import announce, log_warnings, make_data_folder, serve_until_signal
from andon.runtime.clock import SystemClock
from andon.runtime.ids import SortableIds, system_random
from andon.runtime.logging import logger, set_up_logging

NoAgent = Annotated[bool, Parameter(name="--no-agent", negative="", help="Start no agent, whatever [agent] says.")]


def up(*, config: ConfigFile = None, data: DataFolder = None, listen: Listen = None, no_agent: NoAgent = False) -> int:
    """Run the control plane until SIGTERM or Ctrl-C; jobs, runners and agents go on after that."""
    loaded = load_for_control_plane(config, data, listen)
    # Here and not above: the base install has no server.
    from andon.serve import serve_control_plane

    make_data_folder(loaded.data)
    set_up_logging(program="control-plane")
    log = logger("up")
    log_warnings(log, loaded.warnings)
    clock = SystemClock()
    overridden = not knows_address(loaded.config.server.listen, listen)

    def ready(line: dict[str, object]) -> None:
        announce(line)
        if not no_agent:
            ensure_agent(loaded, url=str(line["url"]), overridden=overridden, log=log)

    async def serve(stop: asyncio.Event) -> None:
        await serve_control_plane(
            loaded.config,
            data=loaded.data,
            clock=clock,
            ids=SortableIds(clock, system_random()),
            announce=ready,
            stop=stop,
            pid=os.getpid(),
        )

    serve_until_signal(serve, fast_loop=True)
    return FINE
