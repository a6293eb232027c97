"""A fleet that serves every case of the doctor's tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doctor.case import Case
from tests.support.fleet import Stage, a_fleet


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with a_fleet(tmp_path_factory.mktemp("fleet"), hosts=1, slots=2) as stage:
        # From here on every token is held to its rights.
        scopes = ["repo", "admin:org", "admin:org_hook"]
        stage.ask_github("POST", "/_sandbox/tokens", {"token": "a-token", "scopes": scopes})
        yield stage


@pytest.fixture
def case(
    fleet: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> Iterator[Case]:
    parameters: dict[str, Any] = getattr(getattr(request.node, "callspec", None), "params", {})
    made = Case(fleet, tmp_path, capsys, str(parameters.get("planted", request.node.name)).replace(".", "-"))
    yield made
    for undo in made.clean_up:
        undo()
