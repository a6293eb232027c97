"""A host token that cannot be written costs no one-use token, and no second exchange (interfaces.md section 2)."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from andon.agent.backoff import Backoff
from andon.agent.credentials import Credential
from andon.agent.enrolment import EnrolmentRefused, enrol
from andon.agent.layout import Root
from andon.runtime.clock import SystemClock
from andon.runtime.http_client import HttpClient
from andon.runtime.logging import logger


def kept(server, root: Root, *, patient: bool, tried: Callable[[], None] = lambda: None) -> str:
    def chance() -> float:
        # Asked for before each pause.
        tried()
        return 0.0

    async def work() -> str:
        http = HttpClient(server.url)
        try:
            return await enrol(
                http,
                Credential(token="the-enrolment-secret", path=Path("-")),
                name="host-a",
                version="1",
                root=root,
                clock=SystemClock(),
                backoff=Backoff(first=0.01, longest=0.01, chance=chance),
                log=logger("test"),
                patient=patient,
            )
        finally:
            await http.close()

    return asyncio.run(work())


@pytest.fixture
def root(tmp_path: Path) -> Root:
    made = Root(path=tmp_path / "root")
    made.make()
    return made


def test_a_place_that_cannot_be_written_is_said_before_the_token_is_spent(server, root):
    shutil.rmtree(root.path)
    with pytest.raises(EnrolmentRefused, match=r"host\.token: the host token could not be kept.*token was not used"):
        kept(server, root, patient=False)
    assert server.enrolments == []


@pytest.mark.parametrize("patient", [True, False])
def test_a_write_that_fails_is_tried_again_and_the_exchange_is_not(server, root, patient):
    # A file cannot take the place of a folder.
    root.host_token.mkdir()
    tries = []

    def tried() -> None:
        tries.append(1)
        if len(tries) == 3:
            root.host_token.rmdir()

    assert kept(server, root, patient=patient, tried=tried) == "aht_of-this-host"
    assert root.host_token.read_text() == "aht_of-this-host\n"
    assert root.host_token.stat().st_mode & 0o777 == 0o600
    assert len(server.enrolments) == 1


def test_a_person_is_told_that_the_token_is_spent(server, root):
    root.host_token.mkdir()
    with pytest.raises(EnrolmentRefused, match=r"cannot be written .*the one-use token is spent.*andon host add"):
        kept(server, root, patient=False)
    assert len(server.enrolments) == 1
    assert [each.name for each in root.path.iterdir() if each.name.startswith(".")] == []
