"""Starts the agent of `andon up`: a process of its own session, which outlives whoever started it."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from andon.agent.layout import root_of
from andon.agent.root_lock import live_agent_pid
from andon.agent.run import agent_status
from andon.cli.configuration import Loaded
from andon.model.config import Agent, Server
from andon.rules.listen_address import is_on_this_machine, parse_listen
from andon.runtime.environment import environment
from andon.runtime.errors import AndonError, Refused
from andon.runtime.logging import Logger

_LAST_WORDS_BYTES = 2000


def ensure_agent(loaded: Loaded, *, url: str, overridden: bool, log: Logger) -> None:
    """Leaves a living agent alone; starts one otherwise.

    `url` is where the control plane answers; `overridden` says that the file does not know it.
    """
    agent = loaded.config.agent
    if agent is None:
        return
    server = url if overridden and _is_own(agent, loaded.config.server) else agent.server
    root = root_of(agent, loaded.data).path
    pid = live_agent_pid(root)
    if pid is not None:
        _check_living(root, pid, server, log)
    else:
        _start(loaded, agent, root, server, log)


def knows_address(listen: str, given: str | None) -> bool:
    """Whether clients find the server by its file: no --listen, and no port that is taken as it comes."""
    address = parse_listen(listen)
    return given is None and address is not None and address.port != 0


def _is_own(agent: Agent, server: Server) -> bool:
    """Whether `[agent] server` means the control plane of the same file, by its address or by being here."""
    return agent.server == server.public_url or is_on_this_machine(agent.server)


def _check_living(root: Path, pid: int, server: str, log: Logger) -> None:
    try:
        speaks_to = agent_status(root).get("server")
    except AndonError:
        speaks_to = None
    if speaks_to in (None, server):
        log.info("agent.lives", pid=pid, root=str(root))
    else:
        log.warning(
            "agent.elsewhere",
            pid=pid,
            root=str(root),
            server=speaks_to,
            reason="the living agent speaks to another address; stop it, and the next start makes a new one",
        )


def _start(loaded: Loaded, agent: Agent, root: Path, server: str, log: Logger) -> None:
    command = [sys.executable, "-P", "-m", "andon", "agent", "run", "--config", str(loaded.path)]
    command += ["--data", str(loaded.data)]
    if server != agent.server:
        command += ["--server", server]
    log_file = root / "agent.log"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with log_file.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environment()),
                start_new_session=True,
            )
    except OSError as error:
        # The control plane serves other hosts, too.
        log.error("agent.not_started", root=str(root), reason=str(error))
        return
    log.info("agent.started", pid=process.pid, root=str(root), log=str(log_file))
    # Takes note of its end while we live; it goes on when we do not.
    threading.Thread(target=lambda: _report_end(process, log_file, log.warning), daemon=True).start()


def _report_end(process: subprocess.Popen[bytes], log_file: Path, report: Callable[..., object]) -> None:
    code = process.wait()
    report("agent.ended", pid=process.pid, exit=code, last_words=_last_line(log_file), log=str(log_file))


def _last_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _LAST_WORDS_BYTES))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def status_of(loaded: Loaded) -> dict[str, object]:
    """What the agent of this configuration says of itself. Raises Refused when none answers."""
    assert loaded.config.agent is not None
    root = root_of(loaded.config.agent, loaded.data).path
    if live_agent_pid(root) is None:
        raise Refused(f"{root}: no agent lives on this root. Start it with `andon agent run`.")
    return msgspec.to_builtins(agent_status(root))
