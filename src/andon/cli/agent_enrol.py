"""`andon agent enrol`: the line that `andon host add` prints. Needs the base install only.

The token comes through standard input, so that it stands on no command line. It is spent at once:
what follows (installing a runner, starting the agent) may take its time.
"""

import asyncio
import getpass
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from andon import __version__
from andon.agent.backoff import Backoff
from andon.agent.credentials import Credential
from andon.agent.enrolment import enrol
from andon.agent.layout import root_of
from andon.agent.root_lock import lock_root
from andon.cli.configuration import config_path, data_folder
from andon.cli.exits import FINE
from andon.cli.options import ConfigFile, DataFolder
from andon.model.config import Agent, Config, Slots
from andon.rules.config_agent import check_agent_table
from andon.rules.config_finding import Severity
from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused
from andon.runtime.files import PlaceKept
from andon.runtime.http_client import HttpClient
from andon.runtime.ids import system_random
from andon.runtime.logging import logger, set_up_logging
from andon.runtime.toml_file import load_toml

COMMAND = ("/opt/actions-runner/run.sh",)
"""Stands in a file that is made here, as the place where a runner is usually installed."""
_MAX_FILE = 64 * 1024
"""Bytes; more than a line of options makes."""
Pools = Annotated[
    list[str] | None,
    Parameter(name="--pool", negative="", help="For a new file: a pool to serve with one slot; may be given again."),
]


def agent_enrol(
    *,
    name: str | None = None,
    server: str | None = None,
    pool: Pools = None,
    ca_file: Path | None = None,
    config: ConfigFile = None,
    data: DataFolder = None,
) -> int:
    """Enrol this machine with the one-use token on standard input; makes the configuration if there is none.

    Parameters
    ----------
    name
        The host's name. Default: the one in [agent].
    server
        Address of the control plane. Default: the one in [agent].
    ca_file
        Who signed the control plane's certificate, if nobody well known.
    """
    path = config_path(config)
    file = load_toml(path, Config) if path.exists() else None
    if file is not None:
        agent = _same(path, file.agent, name=name, server=server)
    else:
        agent = _fresh(path, name=name, server=server, pools=pool or [], ca_file=ca_file)
    folder = data_folder(path, data)
    set_up_logging(program="agent")
    _warn(agent)
    token = _token()
    with _place(path) if file is None else nullcontext() as place:
        asyncio.run(_enrol(agent, token, folder))
        if place is not None:
            _write(place, _text(agent))
    root = root_of(agent, folder).path
    made = f" {path} was made: look at the runner's command and the number of slots in it." if file is None else ""
    sys.stdout.write(f"Host {agent.name} is enrolled at {agent.server}; its token is in {root / 'host.token'}.{made}\n")
    sys.stdout.write("Start it with `andon agent run`, or as a service with `andon agent install`.\n")
    return FINE


def _same(path: Path, agent: Agent | None, *, name: str | None, server: str | None) -> Agent:
    """The `[agent]` of a file that is there; what the line says must not be another thing."""
    if agent is None:
        raise Refused(f"{path}: no [agent] table. Add one, or name another file with --config.")
    if name is not None and name != agent.name:
        raise Refused(f'{path}: [agent] name is "{agent.name}", not "{name}". Correct it, or name another --config.')
    if server is not None and server.rstrip("/") != agent.server.rstrip("/"):
        raise Refused(f'{path}: [agent] server is "{agent.server}", not "{server}". Correct it, or leave --server out.')
    return agent


def _fresh(path: Path, *, name: str | None, server: str | None, pools: list[str], ca_file: Path | None) -> Agent:
    if name is None or server is None:
        raise Refused(f"{path}: no such file. Give --name and --server to make one, or name a file with --config.")
    agent = Agent(
        name=name,
        server=server,
        ca_file=str(ca_file.absolute()) if ca_file is not None else None,
        slots=tuple(Slots(pool=each, command=COMMAND) for each in pools),
    )
    for finding in check_agent_table(agent, ()):
        if finding.severity is Severity.REFUSED:
            raise Refused(f"--{finding.path[-1]}: {finding.what}")
    return agent


def _warn(agent: Agent) -> None:
    """Says what is odd about where the host token will travel."""
    for finding in check_agent_table(agent, ()):
        if finding.severity is Severity.WARNING and finding.path[-1] == "server":
            sys.stderr.write(f"andon: warning: {finding.what}\n")


def _place(path: Path) -> PlaceKept:
    """Room for the configuration file, before the token is spent."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return PlaceKept(path, room=_MAX_FILE)
    except OSError as error:
        raise Refused(
            f"{path}: the configuration cannot be written there ({error.strerror}). "
            "Mend the folder, or name another file with --config; the token was not used."
        ) from None


def _write(place: PlaceKept, text: str) -> None:
    try:
        place.fill(text.encode())
    except OSError as error:
        raise Refused(
            f"{place.path}: the configuration could not be written ({error.strerror}); the host is enrolled, and its "
            f"token is kept. Put this into the file:\n{text}"
        ) from None


def _token() -> str:
    asked = getpass.getpass("One-use token: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not asked.strip():
        raise Refused("standard input: no token came. Pipe the one-use token of `andon host add` into this command.")
    return asked.strip()


async def _enrol(agent: Agent, token: str, data: Path) -> None:
    root = root_of(agent, data)
    root.make()
    clock = SystemClock()
    with await lock_root(root, clock):
        http = HttpClient(agent.server, ca_file=data / agent.ca_file if agent.ca_file else None)
        try:
            await enrol(
                http,
                Credential(token=token, path=Path("-")),
                name=agent.name,
                version=__version__,
                root=root,
                clock=clock,
                backoff=Backoff(first=1, longest=1, chance=system_random().random),
                log=logger("enrol"),
                patient=False,
            )
        finally:
            await http.close()


def _text(agent: Agent) -> str:
    """The configuration file. A JSON string is a TOML string, too."""

    def quoted(value: object) -> str:
        return msgspec.json.encode(value).decode()

    lines = [
        "# Made by `andon agent enrol`.",
        "[agent]",
        f"name = {quoted(agent.name)}",
        f"server = {quoted(agent.server)}",
    ]
    if agent.ca_file:
        lines.append(f"ca_file = {quoted(agent.ca_file)}")
    for slots in agent.slots:
        lines += [
            "",
            "[[agent.slots]]",
            f"pool = {quoted(slots.pool)}",
            "count = 1",
            f"command = {quoted(slots.command)}",
        ]
    return "\n".join(lines) + "\n"
