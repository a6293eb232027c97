"""No test asks a sandbox behind the contract's back, and a mismatch in one of them is really noticed."""

import asyncio
import re
from pathlib import Path
from random import Random

import httpx2

from andon.github.client import GitHub
from andon.github.credentials import FixedToken
from andon.github.transport import Transport
from andon.runtime.clock import SystemClock
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.virtual_time import VirtualClock
from tests.support import contract_watch

TESTS = Path(__file__).parent.parent
WITH_A_TAP = {"support/contract_watch.py", "support/sandbox_api.py", "contract/sandbox_peer.py"}
_BARE = re.compile(r"from andon\.sim\.sandbox\.app import make_app|from andon\.sim\.sandbox import app\b")


def test_every_sandbox_in_process_has_the_tap_on() -> None:
    """A test takes `contract_watch.watched` instead of the bare application."""
    bare = {str(path.relative_to(TESTS)) for path in TESTS.rglob("*.py") if _BARE.search(path.read_text())}
    assert bare == WITH_A_TAP


def ask_by_our_room(work: str) -> list[str]:
    clock = VirtualClock()
    sandbox = SandboxGitHub(clock, Random(1))
    sandbox.world.make_repository("acme/app")

    async def main() -> None:
        wire = Transport(
            "http://sandbox.invalid",
            FixedToken("a-token"),
            clock,
            http_transport=httpx2.ASGITransport(app=contract_watch.watched(sandbox)),
        )
        try:
            await GitHub(wire).runs("acme/app", work)
        finally:
            await wire.close()

    asyncio.run(main())
    return contract_watch.take()


def test_a_call_of_ours_that_does_not_fit_is_noticed() -> None:
    assert ask_by_our_room("queued") == []
    assert any("query parameter status" in each for each in ask_by_our_room("waiting for a runner"))


def test_the_sandbox_records_itself_for_the_check(tmp_path: Path) -> None:
    from andon.sim.sandbox.server import serving
    from andon.sim.sandbox.tap import recorded, recorder

    file = tmp_path / "calls.jsonl"

    async def main() -> None:
        clock = SystemClock()
        sandbox = SandboxGitHub(clock, Random(1))
        sandbox.world.make_repository("acme/app")
        async with serving(sandbox, tap=recorder(file)) as url:
            wire = Transport(url, FixedToken("a-token"), clock)
            try:
                await GitHub(wire).runs("acme/app", "queued")
            finally:
                await wire.close()

    asyncio.run(main())
    (exchange,) = recorded(file)
    assert (exchange.method, exchange.path, exchange.status) == ("GET", "/repos/acme/app/actions/runs", 200)
    assert "a-token" not in file.read_text()
    contract_watch.check_recorded(file)
