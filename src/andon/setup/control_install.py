"""What `andon install` does: the control plane's user, its data folder, its secrets' owners, its unit."""

import os
from pathlib import Path

from andon.model.config import Config
from andon.rules.listen_address import parse_listen
from andon.runtime.errors import Refused
from andon.setup.machine import Machine
from andon.setup.reachable import closed_folder_above
from andon.setup.steps import MakeFolder, MakeUser, Plan, RunCommand, SetOwner, Step, WriteFile
from andon.setup.units import AGENT_UNIT, CONTROL_PLANE_UNIT, MARK, UNIT_FOLDER, agent_works_in, control_plane_unit

USER = "andon"
_DATA_MODE = 0o711
"""An agent's root may lie below; who is not the control plane may pass through, and list nothing."""


def plan_control_install(
    config: Config, *, config_path: Path, data: Path, machine: Machine, program: Path, package: Path
) -> Plan:
    """The steps for the control plane of `config`, run by the Python `program` from the file `package`.

    Raises Refused where its user could not read the program or the configuration.
    """
    for path, what in ((program, "the Python"), (program.resolve(), "the Python"), (package, "the program")):
        if (closed := closed_folder_above(path)) is not None:
            raise Refused(
                f'{closed}: only its owner may enter this folder, so the user "{USER}" could not run {what} in it. '
                "Install Andon where everybody may enter, such as below /opt."
            )
    if agent_works_in(data, machine):
        raise Refused(
            f'{data}: {AGENT_UNIT} works in this folder as root, and the user "{USER}" would get it. Give the control '
            "plane another --data."
        )
    notes: list[str] = []
    readable = config_path.exists() and config_path.stat().st_mode & 0o004 and not closed_folder_above(config_path)
    if config_path.is_relative_to(data):
        readable = True
    if not readable:
        notes.append(f'{config_path}: the user "{USER}" has to be able to read it. chmod 0644 does that.')
    address = parse_listen(config.server.listen)
    database = _sqlite_file(config, data)
    beside = () if database is None or database.is_relative_to(data) else (database.parent,)
    notes += [
        f'{folder}: the database lies here, outside {data}. The folder has to be there, and the user "{USER}" has to '
        "be able to write in it."
        for folder in beside
    ]
    unit = control_plane_unit(
        command=(
            *(str(program), "-P", "-m", "andon", "up", "--no-agent"),
            *("--config", str(config_path), "--data", str(data)),
        ),
        data=data,
        user=USER,
        port=address.port if address is not None else 0,
        reads=(config_path, program, package),
        writes=beside,
    )
    inside, outside = _files(config, data, machine)
    steps: list[Step] = [
        MakeUser(name=USER, home=data, comment="Andon control plane", make_home=False),
        MakeFolder(path=data, owner=USER, mode=_DATA_MODE),
    ]
    steps += [SetOwner(path=path, owner=USER, mode=0o600) for path in inside]
    # Deliveries that an `andon up` by hand left there: the service has to read them and take them away.
    spool = data / "spool"
    if machine.at(spool).is_dir():
        steps.append(MakeFolder(path=spool, owner=USER, mode=0o700))
        left = sorted(path.name for path in machine.at(spool).iterdir() if path.is_file() and not path.is_symlink())
        steps += [SetOwner(path=spool / name, owner=USER, mode=0o600) for name in left]
    notes += [f'{path} lies outside {data}: make it readable for the user "{USER}".' for path in outside]
    written = WriteFile(path=UNIT_FOLDER / CONTROL_PLANE_UNIT, content=unit, mark=MARK)
    steps.append(written)
    if machine.runs_systemd:
        if not machine.has(written):
            steps.append(RunCommand(command=("systemctl", "daemon-reload")))
        disable = f"systemctl disable --now {CONTROL_PLANE_UNIT}"
        steps.append(RunCommand(command=("systemctl", "enable", CONTROL_PLANE_UNIT), undone_by=disable))
        if not machine.has(written) or not machine.is_active(CONTROL_PLANE_UNIT):
            steps.append(RunCommand(command=("systemctl", "restart", CONTROL_PLANE_UNIT)))
    else:
        notes.append(
            "systemd does not run here: nothing was started. "
            f"On the machine: systemctl enable --now {CONTROL_PLANE_UNIT}"
        )
    if config.agent is not None:
        notes.append(
            "The file has an [agent], which gets a unit of its own and runs as root, so with a configuration and a "
            "data folder of root's own: andon agent install --config /etc/andon/agent.toml --data /var/lib/andon-agent"
        )
    return Plan(steps=tuple(steps), notes=tuple(notes))


def _sqlite_file(config: Config, data: Path) -> Path | None:
    kind = "sqlite:///"
    if not config.server.database.startswith(kind):
        return None
    return Path(os.path.normpath(data / config.server.database.removeprefix(kind)))


def _files(config: Config, data: Path, machine: Machine) -> tuple[list[Path], list[Path]]:
    """The files that the control plane uses and that are there: those below `data`, and others."""
    server, github = config.server, config.github
    names = [
        github.webhook_secret_file,
        github.token_file,
        github.private_key_file,
        server.agent_token_file,
        server.operator_token_file,
        server.viewer_token_file,
        server.tls_cert_file,
        server.tls_key_file,
    ]
    paths = [data / name for name in names if name]
    if (file := _sqlite_file(config, data)) is not None:
        paths += [file.with_name(f"{file.name}{end}") for end in ("", "-wal", "-shm", ".lock")]
    found = [path for path in paths if machine.at(path).is_file()]
    return [path for path in found if path.is_relative_to(data)], [
        path for path in found if not path.is_relative_to(data)
    ]
