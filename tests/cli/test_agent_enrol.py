"""`andon agent enrol` says what is odd before it spends the one-use token."""

import os
import subprocess
import sys
from pathlib import Path


def enrol(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """The command with a token on standard input, without a proxy of whoever runs the tests."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ANDON_") and not name.lower().endswith("_proxy")
    }
    return subprocess.run(
        [sys.executable, "-m", "andon", "agent", "enrol", "--name", "host-b", *map(str, words)],
        cwd=folder,
        env=environ,
        input="aot_one-use\n",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_plain_http_to_another_machine_is_warned_of(tmp_path: Path) -> None:
    ran = enrol(tmp_path, "--server", "http://control.invalid:8470")
    assert ran.returncode == 2
    warning = (
        'andon: warning: server is "http://control.invalid:8470": '
        "the host token and JIT configs would travel unencrypted. Use https."
    )
    assert ran.stderr.splitlines()[0] == warning
    assert "warning: server" not in enrol(tmp_path, "--server", "http://127.0.0.1:1").stderr
    (tmp_path / "andon.toml").write_text('[agent]\nname = "host-b"\nserver = "http://control.invalid:8470"\n')
    assert enrol(tmp_path).stderr.splitlines()[0] == warning


def test_a_configuration_that_cannot_be_written_is_said_before_the_token_is_spent(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = tmp_path / "file" / "andon.toml"
    ran = enrol(tmp_path, "--server", "http://127.0.0.1:1", "--config", config, "--data", tmp_path)
    assert ran.returncode == 2
    last = ran.stderr.splitlines()[-1]
    assert last.startswith(f"andon: {config}: the configuration cannot be written there")
    assert "token was not used" in last and "did not answer" not in ran.stderr


def test_a_refused_enrolment_leaves_no_file(tmp_path: Path) -> None:
    assert enrol(tmp_path, "--server", "http://127.0.0.1:1").returncode == 2
    assert [each.name for each in tmp_path.rglob("*") if each.is_file() and each.suffix != ".lock"] == []
