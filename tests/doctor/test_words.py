"""What `andon doctor` prints, and how it ends where there is little to look at."""

import socket
from pathlib import Path

import pytest

from andon.cli.main import main
from tests.doctor.case import Case

CONTROL_PLANE = """\
[server]
listen = "127.0.0.1:0"
[github]
api_url = "http://127.0.0.1:{port}"
token_file = "github.token"
[[owner]]
login = "acme"
repositories = ["acme/app"]
[[pool]]
name = "linux"
labels = ["self-hosted"]
"""


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def in_folder(folder: Path, text: str) -> Path:
    for name in ("github.token", "webhook.secret"):
        (folder / name).write_text("secret")
        (folder / name).chmod(0o600)
    path = folder / "andon.toml"
    path.write_text(text)
    return path


def test_each_finding_says_what_is_wrong_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], closed_port: int
) -> None:
    path = in_folder(tmp_path, CONTROL_PLANE.format(port=closed_port))
    (tmp_path / "github.token").chmod(0o644)
    assert main(["doctor", "--config", str(path)]) == 1
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.endswith("[secret.mode]")]
    assert lines[at].startswith("    problem  ") and "can be read by others" in lines[at]
    assert "chmod 600" in lines[at + 1]
    assert any(line.startswith("ok  ") for line in lines) and any(line.startswith("!!  github") for line in lines)
    # Nothing is called fine that was not looked at.
    for name in ("permissions", "webhook", "deliveries", "hosts", "labels"):
        assert any(line.startswith("??") and name in line and "cannot tell" in line for line in lines), name
    # No fixed port, no --server: the control plane's address is not known, which is no finding.
    assert any(line.startswith("??  control plane") and "--server" in line for line in lines)


def test_an_unusable_file_is_not_examined(tmp_path: Path, capsys: pytest.CaptureFixture[str], closed_port: int) -> None:
    path = in_folder(tmp_path, CONTROL_PLANE.format(port=closed_port).replace('["self-hosted"]', "[]"))
    assert main(["doctor", "--config", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "has no labels" in said.err and said.err.count("\n") == 1


def test_an_agents_own_file_says_nothing_of_github(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], closed_port: int
) -> None:
    text = (
        f'[agent]\nname = "a"\nserver = "http://127.0.0.1:{closed_port}"\n'
        '[[agent.slots]]\npool = "p"\nuser = "andon-{slot}"\ncommand = ["run.sh"]\n'
    )
    path = tmp_path / "agent.toml"
    path.write_text(text)
    assert main(["doctor", "--config", str(path)]) == 1
    out = capsys.readouterr().out
    assert "--  github" in out and "[controlplane.unreachable]" in out
    assert "permissions" not in out


def test_a_fleet_that_polls_needs_no_webhook(case: Case) -> None:
    case.fleet.ask_github("POST", "/_sandbox/repositories", {"repository": case.repository})
    case.credential += '\ningest = "poll"'
    code, found = case.examine()
    states = {one["name"]: one["state"] for one in found["checks"]}
    assert (states["webhook"], states["deliveries"]) == ("skipped", "skipped")
    assert found["findings"] == []
    assert code == 0
