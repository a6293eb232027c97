"""`andon demo`: everything on one machine with a sandbox GitHub, until Ctrl-C."""

import asyncio
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from andon.cli.exits import FINDING, FINE
from andon.cli.options import ConfigFile, DataFolder, Listen
from andon.cli.service import serve_until_signal
from andon.rules.listen_address import parse_listen
from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused

_DEFAULT_FOLDER = Path(".andon-demo")
_DEFAULT_LISTEN = "127.0.0.1:8470"


def demo(
    *,
    data: DataFolder = None,
    listen: Listen = None,
    once: Annotated[bool, Parameter(negative="", help="End when the first jobs have ended.")] = False,
    config: ConfigFile = None,
) -> int:
    """Run a sandbox GitHub, a control plane, two agents and real jobs; Ctrl-C ends all of it.

    Parameters
    ----------
    data
        The demo's folder, .andon-demo by default. What an earlier demo left there is removed.
    listen
        Where the board listens, 127.0.0.1:8470 by default; another port where that one is taken.
    config
        Taken and not read: the demo writes its own files.
    """
    given = _DEFAULT_LISTEN if listen is None else listen
    address = parse_listen(given)
    if address is None or not address.is_loopback:
        raise Refused(f'--listen: "{given}" is not HOST:PORT on this machine. Write it as "{_DEFAULT_LISTEN}".')
    # Here and not above: the base install has neither. The demo starts a server as a process of its
    # own, so what that needs is asked for first: one sentence instead of a child's last words.
    import_module("uvicorn")
    from andon.sim.demo.play import run_demo

    folder = (data or _DEFAULT_FOLDER).absolute()
    outcome: list[bool] = []

    async def play(stop: asyncio.Event) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stop.set)

        def say(text: str) -> None:
            try:
                sys.stdout.write(text + "\n")
                sys.stdout.flush()
            except BrokenPipeError:
                # Nobody reads any more; what was started must be ended all the same.
                stop.set()

        outcome.append(await run_demo(folder, listen=address, once=once, say=say, clock=SystemClock(), stop=stop))

    serve_until_signal(play)
    return FINE if all(outcome) else FINDING
