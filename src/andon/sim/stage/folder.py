"""The folder that a staged fleet lives in: its mark, its secrets and its configuration files.

Only a folder with our mark is ever emptied, and only by the one demo that holds the mark's lock.
"""

import contextlib
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple

from andon.rules.listen_address import ListenAddress
from andon.runtime.errors import Refused
from andon.runtime.files import make_secret, write_atomically

MARK = ".andon-demo-folder"
POOL_LABELS = ("self-hosted", "linux", "x64")


class Secrets(NamedTuple):
    """What the fleet's parts know each other by."""

    github_token: str
    webhook: str


@contextlib.contextmanager
def held(folder: Path) -> Generator[None]:
    """Takes `folder` for one demo, making it where it is not there.

    Raises Refused for a folder that is somebody else's, and for one in which a demo runs.
    """
    mark = folder / MARK
    try:
        if folder.exists() and not mark.is_file() and any(folder.iterdir()):
            raise Refused(
                f"{folder}: this folder is not empty and not a demo's, so it is left alone. "
                "Name another with --data, or take it away."
            )
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(mark, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise Refused(f"{folder}: cannot be used ({error.strerror}). Name another folder with --data.") from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"{folder}: a demo runs there already. End it, or name another folder with --data.") from None
        yield
    finally:
        os.close(file)


def empty(folder: Path) -> None:
    """Removes everything that an earlier demo left, but the mark."""
    for path in folder.iterdir():
        if path.name == MARK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def make_secrets(folder: Path) -> Secrets:
    """Makes the secrets as files that only this user can read."""
    return Secrets(
        github_token=make_secret(folder / "github.token", what="GitHub token"),
        webhook=make_secret(folder / "webhook.secret", what="webhook secret"),
    )


def write_control_plane_file(
    folder: Path, *, listen: ListenAddress, api_url: str, repository: str, sweep_s: float
) -> Path:
    """The configuration of the control plane."""
    owner, _, _ = repository.partition("/")
    text = f"""# Written by Andon for a fleet on this machine.
[server]
listen = "{listen}"

[github]
api_url = "{api_url}"
token_file = "github.token"
webhook_secret_file = "webhook.secret"
sweep_seconds = {sweep_s}

[[owner]]
login = "{owner}"
repositories = ["{repository}"]

[[pool]]
name = "linux"
labels = {json.dumps(POOL_LABELS)}
trust = "no-forks"
"""
    return _written(folder / "andon.toml", text)


def write_agent_file(folder: Path, name: str, *, server: str, command: Sequence[str], slots: int) -> Path:
    """The configuration of one of the agents, which stand for hosts."""
    text = f"""# Written by Andon for a fleet on this machine.
[server]
agent_token_file = "agent.token"

[agent]
name = "{name}"
server = "{server}"
root = "{name}"

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
    return _written(folder / f"{name}.toml", text)


def _written(path: Path, text: str) -> Path:
    write_atomically(path, text.encode(), durable=False)
    return path


def free_address(wanted: ListenAddress) -> ListenAddress:
    """`wanted` when it is free; otherwise the same host with a port that is. Raises Refused."""
    for port in (wanted.port, 0):
        with socket.socket(socket.AF_INET6 if ":" in wanted.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((wanted.host, port))
                return ListenAddress(host=wanted.host, port=probe.getsockname()[1])
            except OSError as error:
                if port == 0:
                    raise Refused(
                        f"{wanted}: cannot listen there ({error.strerror}). Name another address with --listen."
                    ) from None
    raise AssertionError("port 0 either binds or raises")
