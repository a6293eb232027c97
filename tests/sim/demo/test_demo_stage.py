"""The demo through real processes: it does its jobs, and leaves nothing behind however it is ended."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from andon.rules.listen_address import ListenAddress
from andon.runtime.errors import Refused
from andon.sim.stage.folder import MARK, empty, free_address, held

PATIENCE_S = 90
Start = Callable[..., subprocess.Popen[str]]


def living(folder: Path) -> dict[int, str]:
    """Processes that name `folder` in their command line or environment, or whose log lies in it."""
    mark = os.fsencode(folder) + b"/"
    found: dict[int, str] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                line = (process / "cmdline").read_bytes()
                words = line + (process / "environ").read_bytes() + os.fsencode((process / "fd" / "2").readlink())
            except OSError:
                continue
            if mark in words:
                found[int(process.name)] = line.replace(b"\0", b" ").decode()
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    one = tmp_path / "demo"
    yield one
    left = living(one)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == {}


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    made: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "andon", "demo", "--data", str(folder), "--listen", "127.0.0.1:0", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        made.append(process)
        return process

    yield run
    for process in made:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)


def read_until(process: subprocess.Popen[str], text: str) -> list[str]:
    """Lines up to the one that holds `text`."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    pytest.fail(f"never said {text!r}: {''.join(lines)}")


def test_the_first_round_ends_as_it_was_meant_to(start: Start, folder: Path) -> None:
    process = start("--once")
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, out
    lines = out.splitlines()
    board = next(number for number, line in enumerate(lines) if "the board: open it in a browser" in line)
    first = next(number for number, line in enumerate(lines) if "started on host-" in line)
    assert board < first
    assert sum("started on host-" in line for line in lines) == 6
    assert sum("success" in line for line in lines) == 5
    (failure,) = [number for number, line in enumerate(lines) if "  failure after" in line]
    assert "test " in lines[failure]
    assert "An honest failure: branch fix/rounding has a bug" in lines[failure + 1]
    assert "| " in lines[failure + 2]
    assert lines[-1].endswith("All of it has ended.")
    assert living(folder) == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_jobs_leaves_no_process(start: Start, folder: Path, number: int) -> None:
    process = start()
    read_until(process, "started on host-")
    lines = " ".join(living(folder).values())
    for part in ("sandbox serve", " up ", "host-a.toml", "host-b.toml", "shim.py", "andon.sim.runner"):
        assert part in lines
    process.send_signal(number)
    out, _ = process.communicate(timeout=25)
    assert process.returncode == 0, out
    assert out.splitlines()[-1].endswith("All of it has ended.")
    assert living(folder) == {}


def test_a_demo_that_was_ended_by_force_is_cleared_away_by_the_next(start: Start, folder: Path) -> None:
    first = start()
    read_until(first, "started on host-")
    first.kill()
    first.communicate()
    left = living(folder)
    assert len(left) > 4
    second = start("--once")
    read_until(second, "control plane ")
    assert not left.keys() & living(folder).keys()
    out, _ = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 0, out


def test_a_part_that_ends_is_said_and_ends_the_demo(start: Start, folder: Path) -> None:
    process = start()
    read_until(process, "started on host-")
    (pid,) = [pid for pid, line in living(folder).items() if " up --config " in line]
    os.kill(pid, signal.SIGKILL)
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "andon: The control plane ended with exit code -9" in out
    assert living(folder) == {}


def test_a_folder_that_is_no_demos_is_left_alone(start: Start, folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    process = start("--once")
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert out.startswith(f"andon: {folder}: this folder is not empty and not a demo's")
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_two_demos_do_not_share_a_folder(folder: Path) -> None:
    with held(folder), pytest.raises(Refused, match="a demo runs there already"), held(folder):
        pass
    with held(folder):
        (folder / "old").mkdir()
        (folder / "old" / "file").write_text("x")
        (folder / "link").symlink_to("/")
        empty(folder)
        assert [path.name for path in folder.iterdir()] == [MARK]


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = ListenAddress(host="127.0.0.1", port=taken.getsockname()[1])
        found = free_address(wanted)
    assert found.host == "127.0.0.1"
    assert found.port not in (0, wanted.port)
