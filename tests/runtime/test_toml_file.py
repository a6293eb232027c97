"""Refusals name the file, the line, what is wrong and what to do (interfaces.md sections 1 and 2)."""

from pathlib import Path

import pytest

from andon.model.config import Config
from andon.runtime.errors import Refused
from andon.runtime.toml_file import line_of, load_toml, parse_toml

GOOD = """\
[server]
listen = "127.0.0.1:0"

[[owner]]
login = "acme"
repositories = ["acme/app"]
[[owner.repository]]
name = "acme/app"
[[owner.repository.lane]]
name = "release"
match = { event = "merge_group", branch = "release/*" }

[[owner]]
login = "zeta"

[[pool]]
name = "rust-cpu"
labels = [
    "self-hosted",
    "linux",
]
[pool.workspace]
export = { CARGO_TARGET_DIR = "target" }

[agent]
name = "host-a"
[[agent.slots]]
pool = "rust-cpu"
command = ["run.sh"]
[[agent.slots]]
pool = "other"
command = ["run.sh"]
[agent.disk]
soft_percent = 20
"""


def refusal(text: str, path: str = "andon.toml") -> str:
    with pytest.raises(Refused) as caught:
        parse_toml(Path(path), text, Config)
    return str(caught.value)


def test_every_table_and_key_of_a_good_file_is_read() -> None:
    config = parse_toml(Path("andon.toml"), GOOD, Config)
    assert [owner.login for owner in config.owner] == ["acme", "zeta"]
    assert config.owner[0].repository[0].lane[0].match.branch == "release/*"
    assert config.pool[0].workspace.export == {"CARGO_TARGET_DIR": "target"}
    assert config.agent is not None
    assert [slots.pool for slots in config.agent.slots] == ["rust-cpu", "other"]
    assert config.agent.disk.soft_percent == 20


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("server",), 1),
        (("server", "listen"), 2),
        (("owner", 0, "login"), 5),
        (("owner", 0, "repository", 0, "name"), 8),
        (("owner", 0, "repository", 0, "lane", 0, "match"), 11),
        (("owner", 1, "login"), 14),
        (("pool", 0, "labels"), 18),
        (("pool", 0, "workspace", "export"), 23),
        (("agent", "slots", 0, "pool"), 28),
        (("agent", "slots", 1, "pool"), 31),
        (("agent", "disk", "soft_percent"), 34),
        # What is not written stands at its nearest parent.
        (("owner", 1, "weight"), 13),
        (("owner", 0, "repository", 0, "lane", 0, "match", "event"), 11),
        (("github", "token_file"), 1),
    ],
)
def test_line_of(path: tuple[str | int, ...], line: int) -> None:
    assert line_of(GOOD, *path) == line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sever]\n", 'andon.toml:1: unknown key "sever" in the top level. Did you mean "server"?'),
        ('[server]\n\nlissen = "x"\n', 'andon.toml:3: unknown key "lissen" in server. Did you mean "listen"?'),
        (
            '[[owner]]\nlogin = "a"\n[[owner.repository]]\nname = "a/b"\npriorty = 1\n',
            'andon.toml:5: unknown key "priorty" in owner.repository. Did you mean "priority"?',
        ),
        (
            '[agent]\nname = "a"\n[[agent.slots]]\npool = "p"\ncommand = ["x"]\n'
            '[[agent.slots]]\npool = "p"\ncomand = ["x"]\n',
            'andon.toml:8: unknown key "comand" in agent.slots. Did you mean "command"?',
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(text: str, said: str) -> None:
    assert refusal(text) == said


def test_an_unknown_key_like_no_other_is_refused_with_the_known_ones() -> None:
    said = refusal("[rails]\nzzzzz = 1\n")
    assert said == 'andon.toml:2: unknown key "zzzzz" in rails. Known there: mode.'


def test_broken_toml_is_refused_with_its_line() -> None:
    said = refusal('[server]\nlisten = "127.0.0.1:0"\npublic_url = = 1\n')
    assert said.startswith("andon.toml:3: broken TOML: ")
    assert said.endswith("Mend this line.")
    assert "\n" not in said


def test_a_wrong_kind_of_value_is_refused_with_its_line() -> None:
    said = refusal('[[pool]]\nname = "p"\nlabels = ["x"]\nregistration_minutes = "soon"\n')
    assert said.startswith("andon.toml:4: ")
    assert '"pool.registration_minutes"' in said


def test_a_missing_key_is_refused_at_its_table() -> None:
    said = refusal('[server]\n\n[[pool]]\nname = "p"\n')
    assert said.startswith("andon.toml:3: ")
    assert "labels" in said


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"nothing\.toml:1: no such file\. Name one with --config"):
        load_toml(tmp_path / "nothing.toml", Config)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "andon.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refused, match=r"andon\.toml:1: cannot be read .* Make it readable UTF-8 text\."):
        load_toml(path, Config)
