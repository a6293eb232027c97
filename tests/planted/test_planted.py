"""Every planted bug can still be planted, and the command finds one, and says so when too many are not found."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.planted.__main__ import table
from tests.planted.copy_of_sources import TOP, copy_sources
from tests.planted.patches import Planted, all_patches, fits, plant, take_back
from tests.planted.suite import Hunt, hunt

PATCHES = all_patches()
CHEAPEST = ("no-stop-order", "quota-off-by-one")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    copy_sources(folder)
    return folder


@pytest.mark.parametrize("patch", PATCHES, ids=lambda each: each.name)
def test_it_fits_the_sources(patch: Planted, copy: Path) -> None:
    assert fits(patch, copy), f"{patch.file.name} does not fit the sources any more: write it anew."


@pytest.mark.parametrize("name", CHEAPEST)
def test_it_is_found_and_taken_back(name: str, copy: Path) -> None:
    patch = next(each for each in PATCHES if name in each.name)
    (touched,) = patch.touched
    before = (TOP / touched).read_text()
    plant(patch, copy)
    try:
        assert (copy / touched).read_text() != before
        found = hunt(patch, copy).found_by
    finally:
        take_back(patch, copy)
    assert found is not None and patch.incident in found
    assert (copy / touched).read_text() == before
    assert (TOP / touched).read_text() == before


def test_their_numbers_are_their_order() -> None:
    assert [int(patch.name[:2]) for patch in PATCHES] == [*range(1, len(PATCHES) + 1)]


def test_too_many_survivors_are_named_and_are_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    some = PATCHES[:10]
    hunts = [Hunt(patch=patch.name, found_by="drill T4", seconds=1.0) for patch in some]
    assert table(some, hunts) == 0
    hunts[3] = Hunt(patch=some[3].name, found_by=None, seconds=1.0)
    assert table(some, hunts) == 0
    hunts[5] = Hunt(patch=some[5].name, found_by=None, seconds=1.0)
    assert table(some, hunts) == 1
    said = capsys.readouterr().out
    assert f"not found: {some[5].name}: {some[5].says}" in said


def test_a_name_that_no_bug_has_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.planted", "no-such-bug"], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == "No planted bug is named no-such-bug.\n"


def test_what_is_to_be_looked_at_first_is_there() -> None:
    assert [patch.name for patch in PATCHES if patch.look_first and not (TOP / patch.look_first).is_file()] == []
