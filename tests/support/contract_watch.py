"""The sandbox GitHub of a test, watched: every call of ours and every answer is held against GitHub's description.

`tests/conftest.py` asks `take` after each test; a fleet of processes is checked by its record.
"""

from pathlib import Path

from starlette.applications import Starlette

from andon.sim.sandbox.app import make_app
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.tap import Exchange, recorded
from tests.contract.exchange_check import check

_found: dict[str, None] = {}


def watch(exchange: Exchange) -> None:
    """The tap."""
    _found.update(dict.fromkeys(check(exchange)))


def watched(sandbox: SandboxGitHub) -> Starlette:
    """`make_app` with the tap on."""
    return make_app(sandbox, watch)


def take() -> list[str]:
    """The mismatches since the last call, each once."""
    found = list(_found)
    _found.clear()
    return found


def check_recorded(path: Path) -> None:
    """Fails with every mismatch in what `andon sandbox serve --record` wrote."""
    exchanges = recorded(path)
    assert any(each.request_headers.get("user-agent", "").startswith("andon/") for each in exchanges), (
        "we asked nothing"
    )
    for exchange in exchanges:
        watch(exchange)
    assert take() == []
