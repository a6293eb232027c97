"""The systemd units of both programs: templates beside this file, filled in here.

The control plane's is closed as far as it goes; the agent's ends nobody but the agent (R25, R87).
"""

from importlib import resources
from pathlib import Path
from string import Template

from andon.setup.machine import Machine

CONTROL_PLANE_UNIT = "andon.service"
AGENT_UNIT = "andon-agent.service"
UNIT_FOLDER = Path("/etc/systemd/system")
MARK = "Written by Andon."
"""The first line of each unit of ours; a unit without it is somebody else's."""

_WITHOUT = (
    "CAP_AUDIT_CONTROL CAP_BLOCK_SUSPEND CAP_LINUX_IMMUTABLE CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_SYSLOG "
    "CAP_SYS_BOOT CAP_SYS_MODULE CAP_SYS_PACCT CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM"
)
"""No build loads modules, sets the clock or writes to the machine's memory."""
_PRIVILEGED_PORTS = 1024
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))


def agent_unit(*, command: tuple[str, ...], data: Path) -> str:
    """The text of the agent's unit. `command` begins with an absolute path; `data` is absolute."""
    return _filled(AGENT_UNIT, command=_command_line(command), data=_escaped(data), capabilities=f"~{_WITHOUT}")


def control_plane_unit(
    *,
    command: tuple[str, ...],
    data: Path,
    user: str,
    port: int,
    reads: tuple[Path, ...],
    writes: tuple[Path, ...] = (),
) -> str:
    """The text of the control plane's unit.

    `port` decides whether it may bind a privileged one; `reads` are files and folders that it has
    to see, so that homes are not hidden from it where one of them, or what it is a link to, lies
    there; `writes` are folders beside `data` that it writes in.
    """
    return _filled(
        CONTROL_PLANE_UNIT,
        command=_command_line(command),
        data=_escaped(data),
        writable=" ".join(_quoted(_escaped(path)) for path in (data, *writes)),
        user=user,
        protect_home="read-only" if any(_is_below_home(path) for path in (*reads, data, *writes)) else "yes",
        capabilities="CAP_NET_BIND_SERVICE" if 0 < port < _PRIVILEGED_PORTS else "",
    )


def agent_works_in(data: Path, machine: Machine) -> bool:
    """Whether the agent's unit of this machine has `data` as its folder."""
    try:
        text = machine.at(UNIT_FOLDER / AGENT_UNIT).read_text(encoding="utf-8")
    except OSError:
        return False
    return f"WorkingDirectory={_escaped(data)}" in text.splitlines()


def _is_below_home(path: Path) -> bool:
    return any(seen.is_relative_to(home) for seen in (path, path.resolve()) for home in _HOMES)


def _filled(name: str, **values: str) -> str:
    template = resources.files("andon.setup").joinpath("unit_templates", name).read_text(encoding="utf-8")
    return Template(template).substitute(values, mark=MARK, name=name)


def _command_line(command: tuple[str, ...]) -> str:
    return " ".join(_argument(part) for part in command)


def _argument(text: str) -> str:
    """One argument as ExecStart reads it: in quotes where it needs them, nothing expanded."""
    return _quoted(_escaped(text).replace("$", "$$"))


def _quoted(plain: str) -> str:
    """One word of a line of words."""
    if plain and not any(char in plain for char in " \t\"'\\;"):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(text: str | Path) -> str:
    """`%` begins a specifier in every setting."""
    return str(text).replace("%", "%%")
