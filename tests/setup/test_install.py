"""`andon agent install` and `andon install` on a folder that looks like a machine: real users, files, modes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from andon.cli.main import main
from andon.model.config import Config
from andon.runtime.errors import Refused
from andon.runtime.toml_file import parse_toml
from andon.setup.control_install import plan_control_install
from andon.setup.machine import Machine
from andon.setup.steps import Plan, RunCommand, WriteFile
from andon.setup.units import AGENT_UNIT, CONTROL_PLANE_UNIT
from andon.store.sqlite import hold_database_lock

AGENT = """\
[agent]
name = "host-a"
root = "/var/lib/andon-agent"
[[agent.slots]]
pool = "linux"
count = 2
user = "andon-{slot}"
command = ["/bin/true"]
[[agent.slots]]
pool = "shared"
user = "ci"
command = ["/bin/true"]
"""
CONTROL_PLANE = """\
[github]
token_file = "github.token"
[[owner]]
login = "acme"
repositories = ["acme/app"]
[[pool]]
name = "linux"
labels = ["self-hosted"]
"""
UNITS = "etc/systemd/system"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with the files that `useradd --prefix` wants."""
    made = tmp_path / "machine"
    (made / "etc").mkdir(parents=True)
    (made / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (made / "etc/group").write_text("root:x:0:\n")
    for name in ("shadow", "gshadow"):
        (made / "etc" / name).touch()
    return made


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(one) for one in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def install_agent(capsys: pytest.CaptureFixture[str], tmp_path: Path, *more: object) -> tuple[int, Any, str]:
    file = tmp_path / "agent.toml"
    if not file.exists():
        file.write_text(AGENT)
    command = ("agent", "install", "--config", file, "--root-prefix", tmp_path / "machine", "--json", *more)
    code, out, err = run(capsys, *command)
    return code, json.loads(out) if out else None, err


as_root = os.geteuid() == 0


def test_without_root_nothing_is_done(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    code, _, err = install_agent(capsys, tmp_path)
    assert code == 2
    assert err == "andon: Only root can install: users and units are made. Use sudo, or see the steps with --plan.\n"
    assert not (machine / UNITS).exists()


def test_a_plan_changes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path, machine: Path) -> None:
    before = sorted(machine.rglob("*"))
    code, found, _ = install_agent(capsys, tmp_path, "--plan")
    assert code == 0
    assert {step["state"] for step in found["steps"]} == {"planned"}
    assert any(step["what"] == "user andon-1, home /var/lib/andon-slots/andon-1" for step in found["steps"])
    assert sorted(machine.rglob("*")) == before


@pytest.mark.skipif(not as_root, reason="kernel: only root makes users")
def test_the_agent_gets_users_folders_and_a_unit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, machine: Path
) -> None:
    code, found, _ = install_agent(capsys, tmp_path)
    assert code == 0
    assert {step["state"] for step in found["steps"]} == {"made"}
    there = Machine(machine)
    first, second = there.account("andon-0"), there.account("andon-1")
    assert first is not None and second is not None and first.uid != second.uid
    # A user that several slots share is its owner's to make.
    assert there.account("ci") is None
    assert any('share the user "ci"' in note and "not there yet" in note for note in found["notes"])
    for name, account in (("andon-0", first), ("andon-1", second)):
        home = machine / "var/lib/andon-slots" / name
        assert (home.stat().st_uid, home.stat().st_gid, home.stat().st_mode & 0o777) == (
            account.uid,
            account.gid,
            0o700,
        )
    root = machine / "var/lib/andon-agent"
    for folder in (root, *(root / name for name in ("run", "bin", "hooks", "slots"))):
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (0, 0o755)
    unit = (machine / UNITS / AGENT_UNIT).read_text()
    assert f"agent run --config {tmp_path}/agent.toml --data {tmp_path}" in unit
    assert any("andon host add host-a" in note for note in found["notes"])


@pytest.mark.skipif(not as_root, reason="kernel: only root makes users")
def test_a_second_installation_does_nothing_and_what_differs_is_mended(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, machine: Path
) -> None:
    install_agent(capsys, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in machine.rglob("*")}
    code, found, _ = install_agent(capsys, tmp_path)
    assert code == 0
    assert {step["state"] for step in found["steps"]} == {"there"}
    assert found["undo"] == []
    assert {path: path.stat().st_mtime_ns for path in machine.rglob("*")} == files
    (machine / "var/lib/andon-agent/slots").chmod(0o700)
    _, found, _ = install_agent(capsys, tmp_path)
    assert [step["what"] for step in found["steps"] if step["state"] == "made"] == [
        "folder /var/lib/andon-agent/slots of root, mode 0755"
    ]


@pytest.mark.skipif(not as_root, reason="kernel: only root makes users")
def test_what_is_printed_undoes_it(capsys: pytest.CaptureFixture[str], tmp_path: Path, machine: Path) -> None:
    before = (machine / "etc/passwd").read_text()
    _, found, _ = install_agent(capsys, tmp_path)
    for line in found["undo"]:
        subprocess.run(["sh", "-ec", line], check=True, capture_output=True)
    assert (machine / "etc/passwd").read_text() == before
    assert not (machine / UNITS / AGENT_UNIT).exists()
    assert not list((machine / "var/lib").iterdir())


@pytest.mark.skipif(not as_root, reason="kernel: only root makes users")
def test_a_unit_of_somebody_else_is_left_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, machine: Path
) -> None:
    theirs = machine / UNITS / AGENT_UNIT
    theirs.parent.mkdir(parents=True)
    theirs.write_text("[Service]\nExecStart=/opt/theirs\n")
    code, found, err = install_agent(capsys, tmp_path)
    assert code == 2
    assert "was not written by Andon" in err and err.count("\n") == 1
    assert theirs.read_text() == "[Service]\nExecStart=/opt/theirs\n"
    # What was done before it is told, and how to undo it.
    assert found["undo"][0].endswith("andon-1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("andon-{slot}", "Andon {slot}"), 'gives "Andon 0", which is no user name'),
        (("/var/lib/andon-agent", "/closed/host-a"), "only its owner may enter this folder"),
        (("[agent]", "[agents]"), 'unknown key "agents"'),
    ],
)
def test_what_cannot_work_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, machine: Path, change: tuple[str, str], said: str
) -> None:
    (machine / "closed").mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    (tmp_path / "agent.toml").write_text(AGENT.replace(*change))
    code, _, err = install_agent(capsys, tmp_path, "--plan")
    assert code == 2
    assert said in err and err.count("\n") == 1


@pytest.mark.skipif(not as_root, reason="kernel: only root makes users")
def test_the_control_plane_gets_a_user_that_owns_its_secrets(tmp_path: Path, machine: Path) -> None:
    # `andon up` by hand, as root, before: its lock and its spool are there, too.
    (machine / "data/spool").mkdir(parents=True)
    (machine / "data/spool/kept").write_text("a delivery")
    for name in ("github.token", "webhook.secret", "else", "andon.db", "andon.db.lock"):
        (machine / "data" / name).write_text("secret")
        (machine / "data" / name).chmod(0o644)
    there = Machine(machine)
    plan = plan_control_install(
        parse_toml(Path("andon.toml"), CONTROL_PLANE, Config),
        config_path=Path("/etc/andon/andon.toml"),
        data=Path("/data"),
        machine=there,
        program=Path("/usr/bin/env"),
        package=Path("/usr/bin/env"),
    )
    for step in plan.steps:
        there.carry_out(step)
    user = there.account("andon")
    assert user is not None
    modes = {path.name: (path.stat().st_uid, path.stat().st_mode & 0o777) for path in (machine / "data").rglob("*")}
    assert modes == {
        "github.token": (user.uid, 0o600),
        "webhook.secret": (user.uid, 0o600),
        "andon.db": (user.uid, 0o600),
        "andon.db.lock": (user.uid, 0o600),
        "spool": (user.uid, 0o700),
        "kept": (user.uid, 0o600),
        # Only what the configuration names is its own.
        "else": (0, 0o644),
    }
    assert (machine / "data").stat().st_uid == user.uid
    unit = (machine / UNITS / CONTROL_PLANE_UNIT).read_text()
    assert "User=andon\n" in unit and "ReadWritePaths=/data\n" in unit
    assert "ExecStart=/usr/bin/env -P -m andon up --no-agent --config /etc/andon/andon.toml --data /data\n" in unit
    assert all(there.has(step) for step in plan.steps if not isinstance(step, RunCommand))


def plan_for(machine: Path, text: str) -> Plan:
    return plan_control_install(
        parse_toml(Path("andon.toml"), text, Config),
        config_path=Path("/etc/andon/andon.toml"),
        data=Path("/data"),
        machine=Machine(machine),
        program=Path("/usr/bin/env"),
        package=Path("/usr/bin/env"),
    )


def test_a_database_beside_the_data_folder_can_be_written(machine: Path) -> None:
    plan = plan_for(machine, '[server]\ndatabase = "sqlite:////srv/db/andon.db"\n' + CONTROL_PLANE)
    (unit,) = [step.content for step in plan.steps if isinstance(step, WriteFile)]
    assert "ReadWritePaths=/data /srv/db\n" in unit
    assert any(note.startswith("/srv/db: the database lies here") for note in plan.notes)


def test_the_folder_of_a_root_agent_is_not_handed_over(machine: Path) -> None:
    (machine / UNITS).mkdir(parents=True)
    (machine / UNITS / AGENT_UNIT).write_text("[Service]\nWorkingDirectory=/data\n")
    with pytest.raises(Refused, match="works in this folder as root"):
        plan_for(machine, CONTROL_PLANE)


@pytest.mark.skipif(not as_root, reason="kernel: only root gives files away")
@pytest.mark.parametrize(
    ("what", "uid", "mode"),
    [("agent.toml", 1234, 0o644), ("agent.toml", 0, 0o666), (".", 1234, 0o755), (".", 0, 0o777), (".", 0, 0o755)],
)
def test_what_a_root_agent_reads_must_be_roots(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, machine: Path, what: str, uid: int, mode: int
) -> None:
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    file = folder / "agent.toml"
    file.write_text(AGENT)
    os.chown(folder / what, uid, -1)
    (folder / what).chmod(mode)
    command = ("agent", "install", "--config", file, "--root-prefix", machine, "--json")
    code, out, _ = run(capsys, *command, "--plan")
    noted = any("This would be refused" in note and str(folder) in note for note in json.loads(out)["notes"])
    assert (code, noted) == (0, (uid, mode) != (0, 0o755))
    code, _, err = run(capsys, *command)
    if not noted:
        assert code == 0
        return
    assert code == 2 and "others than root can write here" in err and err.count("\n") == 1
    assert not (machine / UNITS).exists()


def test_a_lock_of_somebody_else_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "andon.db.lock").mkdir()
    with pytest.raises(Refused, match=r"andon\.db\.lock: the database's lock cannot be written"):
        hold_database_lock(tmp_path / "andon.db")


def test_a_program_that_its_user_could_not_run_is_refused(tmp_path: Path, machine: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    with pytest.raises(Refused, match="only its owner may enter"):
        plan_control_install(
            parse_toml(Path("andon.toml"), CONTROL_PLANE, Config),
            config_path=Path("/etc/andon.toml"),
            data=Path("/data"),
            machine=Machine(machine),
            program=tmp_path / "closed" / "python",
            package=Path("/usr/bin/env"),
        )


def test_up_can_leave_the_agent_to_its_unit(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--no-agent" in run(capsys, "up", "--help")[1]


WITHOUT_THE_SERVER_PART = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("sqlalchemy", "alembic", "starlette", "uvicorn", "jinja2", "jwt", "cryptography"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from andon.cli.main import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("agent", "install", "--plan"), 0, "~ user andon-1"),
        (("doctor",), 2, 'Install "andon[server]".'),
        (("github", "create-app"), 2, 'Install "andon[server]".'),
    ],
)
def test_what_the_base_install_can_do(tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "andon.toml").write_text(AGENT)
    command = [sys.executable, "-c", WITHOUT_THE_SERVER_PART, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert done.stderr.count("\n") == (0 if code == 0 else 1)
