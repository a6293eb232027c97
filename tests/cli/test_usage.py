"""Bad usage and unusable configurations: one line, exit code 2 (interfaces.md section 2, R90)."""

import socket
from pathlib import Path
from typing import Any

import pytest

GOOD = """\
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


def with_secrets(folder: Path = Path()) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "github.token").write_text("t\n")
    (folder / "webhook.secret").write_text("s\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stauts",), 'Did you mean "status"'),
        (("jobs", "--stat", "queued"), "Did you mean --state?"),
        (("jobs", "--state", "lost"), "--state"),
        (("jobs", "--limit", "0"), "--limit"),
        (("why",), "ID"),
        (("why", "x"), 'unable to convert "x"'),
        (("agent", "walk"), "walk"),
        (("status", "surplus"), "surplus"),
        (("sandbox", "serve", "--listen", "here"), "is not HOST:PORT"),
        (("demo", "--listen", "0.0.0.0:0"), "on this machine"),
        (("up",), "andon.toml:1: no such file. Name one with --config"),
        (("agent", "run"), "andon.toml:1: no such file"),
        (("config", "check", "--config", "x.toml"), "x.toml:1: no such file"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(andon: Any, arguments: tuple[str, ...], said: str) -> None:
    ran = andon(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("andon: ")
    assert ran.err.count("\n") == 1
    assert said in ran.err


@pytest.mark.parametrize("arguments", [(), ("--help",), ("agent",), ("why", "--help"), ("--version",)])
def test_help_is_exit_0(andon: Any, arguments: tuple[str, ...]) -> None:
    ran = andon(*arguments)
    assert ran.code == 0
    assert "andon" in ran.out


def test_config_check_of_a_good_file(andon: Any) -> None:
    with_secrets()
    Path("andon.toml").write_text(GOOD)
    ran = andon("config", "check")
    assert (ran.code, ran.out, ran.err) == (0, "andon.toml: fine\n", "")
    assert andon("config", "check", "--json").json == {"file": "andon.toml", "usable": True, "findings": []}


def test_config_check_of_a_usable_file(andon: Any) -> None:
    with_secrets()
    Path("andon.toml").write_text(GOOD + '[[bar]]\nname = "app"\n')
    ran = andon("config", "check")
    assert ran.code == 1
    assert ran.out.startswith("andon.toml:12: warning: [[bar]] is not acted on")
    (finding,) = andon("config", "check", "--json").json["findings"]
    assert (finding["severity"], finding["line"], finding["key"]) == ("warning", 12, "bar.0")


def test_config_check_lists_every_refusal(andon: Any) -> None:
    text = GOOD.replace('"127.0.0.1:0"', '"0.0.0.0:1"').replace('["self-hosted"]', "[]")
    Path("andon.toml").write_text(text + "webhook = 1\n")
    ran = andon("config", "check")
    assert ran.code == 2
    assert ran.err.startswith('andon: andon.toml:12: unknown key "webhook" in pool.')
    Path("andon.toml").write_text(text)
    ran = andon("config", "check")
    assert ran.code == 2
    lines = ran.err.splitlines()
    assert [line.split(": ")[1] for line in lines] == [f"andon.toml:{n}" for n in (2, 3, 5, 11)]
    assert "webhook secret file does not exist" in lines[1]
    assert "GitHub token file does not exist" in lines[2]


def test_secrets_are_looked_for_below_data(andon: Any, tmp_path: Path) -> None:
    Path("andon.toml").write_text(GOOD)
    with_secrets(tmp_path / "data")
    assert andon("config", "check").code == 2
    assert andon("config", "check", "--data", tmp_path / "data").code == 0


def test_an_agents_own_file_is_fine(andon: Any) -> None:
    Path("andon.toml").write_text('[agent]\nname = "host-a"\n[[agent.slots]]\npool = "linux"\ncommand = ["./run.sh"]\n')
    assert andon("config", "check").code == 0
    ran = andon("up")
    assert ran.code == 2
    assert "no GitHub credential is named" in ran.err


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (("listen", "lissen"), 2, 'unknown key "lissen" in server. Did you mean "listen"?'),
        (('["self-hosted"]', "[]"), 11, "has no labels"),
        (('"github.token"', '"other.token"'), 5, "other.token: the GitHub token file does not exist"),
        (('"github.token"', "1"), 5, "Expected"),
    ],
)
def test_up_refuses_with_file_and_line(andon: Any, change: tuple[str, str], line: int, said: str) -> None:
    with_secrets()
    Path("andon.toml").write_text(GOOD.replace(*change))
    ran = andon("up")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"andon: andon.toml:{line}: ")
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_up_refuses_a_bad_listen_option_by_its_own_name(andon: Any) -> None:
    with_secrets()
    Path("andon.toml").write_text(GOOD)
    ran = andon("up", "--listen", "0.0.0.0:8470")
    assert ran.code == 2
    assert ran.err.startswith("andon: --listen: ")


def test_up_refuses_a_port_in_use(start: Any, tmp_path: Path) -> None:
    with_secrets(tmp_path)
    (tmp_path / "andon.toml").write_text(GOOD)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("up", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    (said,) = [line for line in err.splitlines() if line.startswith("andon: ")]
    assert "cannot listen there" in said


def test_agent_status_without_an_agent(andon: Any) -> None:
    Path("andon.toml").write_text('[agent]\nname = "host-a"\n')
    ran = andon("agent", "status")
    assert ran.code == 2
    assert "no agent lives on this root. Start it with `andon agent run`." in ran.err


def test_a_reader_that_has_seen_enough_gets_no_traceback(start: Any, tmp_path: Path) -> None:
    with_secrets(tmp_path)
    (tmp_path / "andon.toml").write_text(GOOD)
    closed_pipe = "r, w = os.pipe(); os.close(r); os.dup2(w, 1)"
    process = start(
        prelude=f"import os, sys; {closed_pipe}; from andon.cli.main import main; sys.exit(main(['config', 'check']))"
    )
    _, err = process.communicate(timeout=30)
    assert err == ""
    assert process.returncode == 0
