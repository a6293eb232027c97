"""`andon sandbox serve`: a sandbox GitHub over HTTP."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from andon.cli.exits import FINE
from andon.cli.options import ConfigFile, DataFolder, Listen
from andon.cli.service import announce, serve_until_signal
from andon.rules.listen_address import parse_listen
from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused
from andon.runtime.ids import system_random
from andon.runtime.logging import set_up_logging

_DEFAULT = "127.0.0.1:8480"


def sandbox_serve(
    *,
    listen: Listen = None,
    script: Annotated[Path | None, Parameter(name="--script", help="TOML list of control calls with at_s.")] = None,
    record: Annotated[Path | None, Parameter(name="--record", help="Append each API call, a JSON line.")] = None,
    config: ConfigFile = None,
    data: DataFolder = None,
) -> int:
    """Serve a fresh sandbox GitHub until SIGTERM or Ctrl-C. --config and --data are taken and not read."""
    given = _DEFAULT if listen is None else listen
    address = parse_listen(given)
    if address is None:
        raise Refused(f'--listen: "{given}" is not HOST:PORT with a port from 0 to 65535. Write it as "{_DEFAULT}".')
    from andon.sim.sandbox.server import serve_sandbox

    set_up_logging(program="sandbox")

    async def serve(stop: asyncio.Event) -> None:
        await serve_sandbox(
            clock=SystemClock(),
            chance=system_random(),
            announce=lambda url: announce({"ready": True, "url": url, "pid": os.getpid()}),
            stop=stop,
            host=address.host,
            port=address.port,
            script=script,
            record=record,
        )

    serve_until_signal(serve)
    return FINE
