"""What the docs say can be used as it stands: TOML is accepted, links lead somewhere, commands exist."""

import re
from pathlib import Path

import pytest

from andon.cli.main import make_app
from andon.model.config import Config
from andon.rules.config_checks import check
from andon.rules.config_finding import Severity
from andon.runtime.toml_file import parse_toml
from andon.sim.sandbox.script import read_script

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"^ *```toml\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_COMMAND = re.compile(r"`andon ((?:[a-z]+)(?: [a-z]+)?)")


def blocks() -> list[tuple[str, str]]:
    return [(page.name, block) for page in PAGES for block in _BLOCK.findall(page.read_text())]


@pytest.mark.parametrize(("page", "block"), blocks())
def test_every_toml_block_is_a_file_that_is_not_refused(page: str, block: str, tmp_path: Path) -> None:
    if page == "sandbox.md":
        script = tmp_path / "script.toml"
        script.write_text(block)
        assert read_script(script)
        return
    config = parse_toml(Path(page), block, Config)
    refused = [finding.what for finding in check(config) if finding.severity is Severity.REFUSED]
    # An agent's file has no [github]; a control plane's file needs one.
    assert [what for what in refused if config.github != Config().github or "[github]" not in what] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    app = make_app()
    if page.parent.name == "adr":
        return
    for words in _COMMAND.findall(page.read_text()):
        first, _, second = words.partition(" ")
        assert first in app, f"{page.name} names andon {words}"
        group = app[first]
        if second and any(name in group for name in ("run", "serve", "check")):
            assert second in group, f"{page.name} names andon {words}"
