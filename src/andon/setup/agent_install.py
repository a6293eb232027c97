"""What `andon agent install` does: users of slots, the agent's folders, its unit.

Everything is worked out from the configuration and a look at the machine; nothing is done here.
"""

import re
import sys
from pathlib import Path

import andon
from andon.agent.credentials import find_credential
from andon.agent.interpreter import find_interpreter
from andon.agent.layout import root_of
from andon.agent.root_lock import live_agent_pid
from andon.model.config import Agent, Config
from andon.runtime.errors import Refused
from andon.setup.machine import Machine
from andon.setup.reachable import changeable_by_others, closed_folder_above, owner_above
from andon.setup.steps import MakeFolder, MakeUser, Plan, RunCommand, Step, WriteFile
from andon.setup.units import AGENT_UNIT, MARK, UNIT_FOLDER, agent_unit

SLOT_HOMES = Path("/var/lib/andon-slots")
"""Homes of the users that are made here; below no agent's root, since they outlive every job."""
_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def plan_agent_install(
    config: Config, *, config_path: Path, data: Path, machine: Machine, plan_only: bool = False
) -> Plan:
    """The steps for the agent of `config`.

    Raises Refused for what would leave an agent that cannot work, or one that another user than root
    could make run something else as root; a mere plan says the latter in a note.
    """
    agent = config.agent
    if agent is None:
        raise Refused(f"{config_path}: no [agent] table. Add one with `name` and [[agent.slots]].")
    root = root_of(agent, data)
    users = _own_users(agent)
    notes = [*_shared(agent, machine)]
    if (changeable := _changeable(config_path, data)) is not None:
        if not plan_only:
            raise Refused(changeable)
        notes.append(f"This would be refused. {changeable}")
    if users:
        find_interpreter(for_other_users=True)
        closed = closed_folder_above(machine.at(root.path) / "slots", within=machine.top)
        if closed is not None:
            raise Refused(
                f"{closed}: only its owner may enter this folder, so no slot's user would reach its runner below "
                f'{root.path}. Set [agent] root to a folder that is open, such as "/var/lib/andon-agent".'
            )
    if (other := owner_above(machine.at(root.path), within=machine.top)) is not None:
        notes.append(
            f"{other[0]} belongs to the user with the number {other[1]}, who could put something else in the place "
            'of the agent\'s root. Better give [agent] a root of its own, such as "/var/lib/andon-agent".'
        )
    unit = agent_unit(
        command=(
            *(sys.executable, "-P", "-m", "andon", "agent", "run"),
            *("--config", str(config_path), "--data", str(data)),
        ),
        data=data,
    )
    steps: list[Step] = [MakeFolder(path=folder) for folder in (root.path, root.run, root.bin, root.hooks, root.slots)]
    if users:
        steps.append(MakeFolder(path=SLOT_HOMES))
    steps += [
        MakeUser(name=name, home=SLOT_HOMES / name, comment=f"Andon slot {number}") for number, name in users.items()
    ]
    written = WriteFile(path=UNIT_FOLDER / AGENT_UNIT, content=unit, mark=MARK)
    steps.append(written)
    if machine.runs_systemd:
        steps += _service_steps(
            machine, changed=not machine.has(written), start=_has_credential(config, config_path, data)
        )
        if live_agent_pid(root.path) is not None and not machine.is_active(AGENT_UNIT):
            notes.append(
                f"An agent that the unit did not start lives on {root.path}. End it with SIGTERM, then: systemctl "
                f"start {AGENT_UNIT}. Its jobs go on, and the unit's agent takes them over."
            )
    else:
        notes.append(
            f"systemd does not run here: nothing was started. On the machine: systemctl enable --now {AGENT_UNIT}"
        )
    if not _has_credential(config, config_path, data):
        where = data / agent.token_file if agent.token_file else root.host_token
        notes.append(
            f"The agent has no credential yet ({where}). Run `andon host add {agent.name}` at the control plane, paste "
            f"here what it prints, then: systemctl start {AGENT_UNIT}"
        )
    return Plan(steps=tuple(steps), notes=tuple(notes))


def _changeable(config_path: Path, data: Path) -> str | None:
    """A sentence about what the agent, which is root, would read or run, and others than root could change."""
    own = "Give the agent a configuration and a data folder of root's own, such as /etc/andon/agent.toml and "
    own += "--data /var/lib/andon-agent, with the [agent] table alone and `server`."
    install = "Install Andon as root, such as below /opt."
    program, package = Path(sys.executable), Path(andon.__file__).parent
    for path, what, do in (
        (config_path, "its configuration", own),
        (data, "its data folder", own),
        (program, "its Python", install),
        (package, "its program", install),
    ):
        if (place := changeable_by_others(path)) is not None:
            return f"{place}: others than root can write here, and the agent runs as root with {path} as {what}. {do}"
    return None


def _own_users(agent: Agent) -> dict[int, str]:
    """Slot number -> the user that it has for itself. Raises Refused for a name that no user can have."""
    out: dict[int, str] = {}
    number = 0
    for group in agent.slots:
        for _ in range(group.count):
            if group.user and "{slot}" in group.user:
                name = group.user.replace("{slot}", str(number))
                if not _USER_NAME.fullmatch(name):
                    raise Refused(
                        f'[[agent.slots]] user "{group.user}" gives "{name}", which is no user name. '
                        'Use small letters, digits, "-" and "_", as "andon-{slot}".'
                    )
                out[number] = name
            number += 1
    return out


def _shared(agent: Agent, machine: Machine) -> list[str]:
    notes: list[str] = []
    for group in agent.slots:
        if group.user is None:
            notes.append(
                f'The slots of pool "{group.pool}" have no user: their jobs run as root and can read each other\'s '
                'JIT configs. Set user = "andon-{slot}".'
            )
        elif "{slot}" not in group.user:
            missing = "" if machine.account(group.user) else " It is not there yet; make it yourself."
            notes.append(
                f'The slots of pool "{group.pool}" share the user "{group.user}", so their jobs can read each '
                f'other\'s JIT configs. Set user = "andon-{{slot}}".{missing}'
            )
    return notes


def _has_credential(config: Config, config_path: Path, data: Path) -> bool:
    assert config.agent is not None
    try:
        find_credential(config, root=root_of(config.agent, data), config_path=config_path, data=data)
    except Refused:
        return False
    return True


def _service_steps(machine: Machine, *, changed: bool, start: bool) -> list[Step]:
    steps: list[Step] = []
    if changed:
        steps.append(RunCommand(command=("systemctl", "daemon-reload")))
    disable = f"systemctl disable --now {AGENT_UNIT}"
    steps.append(RunCommand(command=("systemctl", "enable", AGENT_UNIT), undone_by=disable))
    if start and (changed or not machine.is_active(AGENT_UNIT)):
        # Starts it where it does not run; ends no job where it does (KillMode=process).
        steps.append(RunCommand(command=("systemctl", "restart", AGENT_UNIT)))
    return steps
