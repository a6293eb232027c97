"""The programs that serve: ready line, signals, the agent of `up`, and what the base install can do."""

import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from andon.agent.process_identity import open_process, start_ticks
from andon.agent.root_lock import live_agent_pid
from tests.support.low_marks import LOW_MARKS

PATIENCE_S = 30
AGENT = (
    """\
[agent]
name = "host-a"
server = "http://127.0.0.1:1"
token_file = "its.token"
[[agent.slots]]
pool = "linux"
command = ["/bin/true"]
"""
    + LOW_MARKS
)
CONTROL_PLANE = """\
[server]
listen = "127.0.0.1:0"
[github]
api_url = "http://127.0.0.1:1"
token_file = "github.token"
[[owner]]
login = "acme"
repositories = ["acme/app"]
[[pool]]
name = "linux"
labels = ["self-hosted"]
"""
WITHOUT_THE_SERVER_PART = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in (
            "sqlalchemy", "alembic", "starlette", "uvicorn", "jinja2", "prometheus_client", "httptools", "uvloop"
        ):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from andon.cli.main import main
sys.exit(main())
"""


def ready_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None and process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return json.loads(line)


def ended_by(process: subprocess.Popen[str], number: int) -> tuple[int, str]:
    """Exit code, and what else stood on standard output."""
    code, out, _ = end(process, number)
    return code, out


def end(process: subprocess.Popen[str], number: int) -> tuple[int, str, str]:
    """Exit code, and what else stood on standard output and standard error."""
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    return process.returncode, out, err


@pytest.fixture
def agent_file(tmp_path: Path) -> Path:
    (tmp_path / "its.token").write_text("aht_x\n")
    (tmp_path / "andon.toml").write_text(AGENT)
    return tmp_path / "andon.toml"


@pytest.fixture
def control_plane_file(tmp_path: Path) -> Path:
    (tmp_path / "github.token").write_text("t\n")
    (tmp_path / "webhook.secret").write_text("s\n")
    (tmp_path / "andon.toml").write_text(CONTROL_PLANE)
    return tmp_path / "andon.toml"


@pytest.fixture
def agents_of(tmp_path: Path) -> Iterator[Callable[[str], int | None]]:
    """The pid of the agent on a root below the test's folder; each one met is ended at the end."""
    met: dict[int, int] = {}

    def find(root: str) -> int | None:
        pid = live_agent_pid(tmp_path / root)
        if pid is not None and (began := start_ticks(pid)) is not None:
            met[pid] = began
        return pid

    yield find
    find("host-a")
    for pid, began in met.items():
        if (file := open_process(pid, began)) is not None:
            signal.pidfd_send_signal(file, signal.SIGTERM)
            poll = select.poll()
            poll.register(file, select.POLLIN)
            ended = poll.poll(PATIENCE_S * 1000)
            os.close(file)
            assert ended


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_agent_runs_with_the_base_install_only(start: Any, agent_file: Path, number: int) -> None:
    process = start("agent", "run", prelude=WITHOUT_THE_SERVER_PART)
    assert ready_line(process) == {"ready": True, "host": "host-a", "pid": process.pid}
    assert ended_by(process, number) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--help",), 0, ""),
        (("stauts",), 2, 'Did you mean "status"?'),
        (("status", "--server", "http://127.0.0.1:1"), 2, "did not answer"),
        (("config", "check"), 0, ""),
        (("up",), 2, 'needs the server part of Andon ("'),
        (("sandbox", "serve"), 2, 'needs the server part of Andon ("'),
        (("demo",), 2, "needs the server part of Andon"),
    ],
)
def test_the_base_install_reads_and_says_what_it_lacks(
    start: Any, control_plane_file: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    process = start(*arguments, prelude=WITHOUT_THE_SERVER_PART)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, err
    assert said in err
    assert err.count("\n") == (1 if said else 0)


def test_the_sandbox_says_where_it_is_and_ends_on_sigterm(start: Any) -> None:
    process = start("sandbox", "serve", "--listen", "127.0.0.1:0")
    line = ready_line(process)
    assert line["ready"] is True
    assert line["pid"] == process.pid
    assert line["url"].startswith("http://127.0.0.1:")
    assert ended_by(process, signal.SIGTERM) == (0, "")


def test_a_script_that_cannot_be_used_is_refused_with_its_line(start: Any, tmp_path: Path) -> None:
    (tmp_path / "script.toml").write_text('[[call]]\nat_s = -1\npost = "/_sandbox/runs"\n')
    process = start("sandbox", "serve", "--listen", "127.0.0.1:0", "--script", "script.toml")
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (2, "")
    assert err.startswith("andon: script.toml:1: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up_prints_one_line_and_ends_on_a_signal(start: Any, control_plane_file: Path, number: int) -> None:
    process = start("up")
    line = ready_line(process)
    assert line.keys() == {"ready", "url", "pid"}
    assert line["pid"] == process.pid
    assert ended_by(process, number) == (0, "")


def test_the_agent_of_up_outlives_it_and_is_found_again(
    start: Any, andon: Any, control_plane_file: Path, agents_of: Callable[[str], int | None]
) -> None:
    slots = '[[agent.slots]]\npool = "linux"\ncommand = ["/bin/true"]\n' + LOW_MARKS
    control_plane_file.write_text(CONTROL_PLANE + '[agent]\nname = "host-a"\n' + slots)
    first = start("up")
    url = ready_line(first)["url"]
    found = until_reporting(andon, url)
    pid = agents_of("host-a")
    assert pid is not None
    assert os.getsid(pid) == pid
    assert [(slot["slot"], slot["state"]) for slot in found["slots"]] == [(0, "idle")]
    status = andon("agent", "status", "--json").json
    assert (status["host"], status["pid"], status["server"]) == ("host-a", pid, url)
    assert "host-a" in andon("agent", "status").out
    assert ended_by(first, signal.SIGTERM)[0] == 0
    assert agents_of("host-a") == pid
    second = start("up", "--listen", url.removeprefix("http://"))
    assert ready_line(second)["url"] == url
    until_reporting(andon, url)
    assert agents_of("host-a") == pid
    code, _, log = end(second, signal.SIGTERM)
    assert code == 0
    assert "agent.lives" in log
    assert "agent.started" not in log
    assert "agent.ready" in (control_plane_file.parent / "host-a" / "agent.log").read_text()


def until_reporting(andon: Any, url: str) -> dict[str, Any]:
    """The host once it reports; asks again and again, for nothing gives a signal here."""
    until = datetime.now(UTC) + timedelta(seconds=PATIENCE_S)
    pause = threading.Event()
    while True:
        items = andon("hosts", "--json", "--server", url).json["items"]
        if items and items[0]["observed"] == "reporting" and items[0]["slots"]:
            return items[0]
        assert datetime.now(UTC) < until, f"never reported: {items}"
        pause.wait(0.05)
