"""The folder of a claim that is over goes whatever a container left in it, or it is said what stays (R57)."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from structlog.testing import capture_logs

from andon.agent.removal import remove_folders
from andon.runtime.logging import logger
from tests.support.as_nobody import NOBODY, as_nobody

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="NOT TESTED: what root leaves in a slot's folder needs root; run these as root"
)


@pytest.fixture
def claim() -> Iterator[Path]:
    """A claim's folder with a checkout, in a slot's; all of it belongs to a user without rights."""
    with TemporaryDirectory(prefix="andon-claim-", ignore_cleanup_errors=True) as base:
        folder = Path(base) / "slots" / "0" / "c1"
        (folder / "runner" / "_work" / "app" / "app").mkdir(parents=True)
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", base], check=True)
        yield folder
        subprocess.run(["chattr", "-R", "-f", "-i", base], check=False)


def remove(folder: Path) -> list[str]:
    """What was said of it."""
    with capture_logs() as said:
        asyncio.run(remove_folders({folder: None}, logger("test")))
    return [f"{one['event']} {one.get('reason', '')}".strip() for one in said]


def test_root_s_files_and_closed_folders_go(claim: Path) -> None:
    left = claim / "runner" / "_work" / "app" / "app" / "target"
    (left / "deep").mkdir(parents=True)
    (left / "deep" / "file").touch(mode=0o400)
    left.chmod(0o000)
    assert remove(claim) == ["slot_folder.removed"] and list(claim.parent.iterdir()) == []


def test_what_a_job_made_immutable_goes(claim: Path) -> None:
    fixed = claim / "runner" / "fixed"
    fixed.touch()
    if subprocess.run(["chattr", "+i", fixed], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("NOT TESTED: this filesystem has no immutable files")
    assert remove(claim) == ["slot_folder.removed"] and list(claim.parent.iterdir()) == []


def test_an_agent_without_rights_says_what_it_cannot_remove(claim: Path) -> None:
    left = claim / "runner" / "left"
    left.mkdir()
    (left / "by-root").touch()

    def in_its_place() -> None:
        (said,) = remove(claim)
        assert said.startswith("slot_folder.kept 1 things could not be removed, as ")
        assert "by-root" in said and said.endswith("The agent is not root, so what a container left as root stays.")

    as_nobody(Path("/"), in_its_place)
    assert (claim.parent / ".gone-c1" / "runner" / "left" / "by-root").exists()
