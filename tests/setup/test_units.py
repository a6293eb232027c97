"""The systemd units: accepted by systemd where it is, closed as far as they go, and harmless to jobs."""

import re
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from andon.cli.exits import FINDING, UNUSABLE
from andon.cli.service import serve_until_signal
from andon.runtime.errors import Refused
from andon.setup.units import AGENT_UNIT, CONTROL_PLANE_UNIT, agent_unit, control_plane_unit

DATA = Path("/var/lib/andon")
AGENT = agent_unit(command=(sys.executable, "agent", "run"), data=DATA)
CONTROL = control_plane_unit(command=(sys.executable, "up"), data=DATA, user="root", port=8470, reads=())


def settings(unit: str) -> dict[str, list[str]]:
    """The lines of [Service] by name; a name may come twice."""
    assert unit.count("[Service]") == 1
    out: dict[str, list[str]] = {}
    for line in unit.partition("[Service]")[2].partition("[Install]")[0].splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            out.setdefault(name, []).append(value)
    return out


@pytest.mark.parametrize(("name", "text"), [(AGENT_UNIT, AGENT), (CONTROL_PLANE_UNIT, CONTROL)])
def test_systemd_takes_the_unit(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    # What any parser sees; systemd's own below it sees more, where there is one.
    parser = RawConfigParser(strict=False)
    parser.read_string(text)
    assert parser.sections() == ["Unit", "Service", "Install"]
    if shutil.which("systemd-analyze"):
        done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
        # The steps of a restart came with systemd 254; an older one says so and goes on.
        said = [line for line in done.stderr.splitlines() if not re.search("RestartSteps|RestartMaxDelaySec", line)]
        assert (done.returncode, said) == (0, [])


def test_a_restart_of_the_agent_ends_no_job() -> None:
    found = settings(AGENT)
    assert found["KillMode"] == ["process"]
    assert found["Delegate"] == ["yes"]
    assert found["Restart"] == ["always"]
    # What a person has to mend is not tried again every five seconds; a crash has another code.
    assert found["RestartPreventExitStatus"] == [str(UNUSABLE)] != [str(FINDING)]
    assert found["OOMPolicy"] == ["continue"]
    assert found["TasksMax"] == ["infinity"]
    # It is root, and its runners see the machine as it is.
    assert not {"User", "NoNewPrivileges", "PrivateTmp", "ProtectSystem", "ProtectHome", "SystemCallFilter"} & set(
        found
    )
    assert "CAP_SYS_MODULE" in found["CapabilityBoundingSet"][0]
    assert found["CapabilityBoundingSet"][0].startswith("~")


def test_the_control_plane_is_closed() -> None:
    found = settings(CONTROL)
    assert found["ProtectSystem"] == ["strict"]
    assert found["ReadWritePaths"] == [str(DATA)]
    assert found["NoNewPrivileges"] == ["yes"]
    assert found["CapabilityBoundingSet"] == [""]
    assert found["Restart"] == ["always"]
    # A database that is away comes back: never given up, and not asked for ever at the same pace.
    assert "RestartPreventExitStatus" not in found
    assert (found["RestartSteps"], found["RestartMaxDelaySec"]) == (["6"], ["60"])
    assert found["ProtectHome"] == ["yes"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="kernel: no systemd here")
def test_systemd_calls_the_control_plane_safe(tmp_path: Path) -> None:
    path = tmp_path / CONTROL_PLANE_UNIT
    path.write_text(CONTROL.replace("User=root", "User=nobody").replace("Group=root", "Group=nogroup"))
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_privileged_port_and_a_home_are_let_in() -> None:
    unit = control_plane_unit(
        command=("/usr/bin/python3",), data=DATA, user="andon", port=443, reads=(Path("/home/ci/andon.toml"),)
    )
    found = settings(unit)
    assert found["AmbientCapabilities"] == found["CapabilityBoundingSet"] == ["CAP_NET_BIND_SERVICE"]
    assert found["ProtectHome"] == ["read-only"]


def test_a_link_into_a_home_is_followed(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to("/home/ci/python")
    unit = control_plane_unit(
        command=("/usr/bin/python3",), data=DATA, user="andon", port=8470, reads=(tmp_path / "python",)
    )
    assert settings(unit)["ProtectHome"] == ["read-only"]


def test_what_it_writes_is_quoted_and_the_databases_folder_is_among_it() -> None:
    unit = control_plane_unit(
        command=("/usr/bin/python3",), data=Path("/var/my data"), user="andon", port=8470, reads=(),
        writes=(Path("/srv/50%/db"),),
    )  # fmt: skip
    assert settings(unit)["ReadWritePaths"] == ['"/var/my data" /srv/50%%/db']


def test_a_fault_of_ours_is_not_what_keeps_a_unit_down() -> None:
    """A program that serves and crashes ends with another code than one that a person has to mend."""

    async def crashes(stop: object) -> None:
        raise OSError("no space")

    async def refuses(stop: object) -> None:
        raise Refused("mend it")

    with pytest.raises(SystemExit) as ended:
        serve_until_signal(crashes)
    assert ended.value.code == FINDING
    with pytest.raises(Refused):
        serve_until_signal(refuses)


def test_odd_paths_are_quoted() -> None:
    unit = agent_unit(command=("/opt/my python", "50%", "$HOME", 'a"b'), data=Path("/var/50%"))
    (line,) = settings(unit)["ExecStart"]
    assert line == '"/opt/my python" 50%% $$HOME "a\\"b"'
    assert settings(unit)["WorkingDirectory"] == ["/var/50%%"]
