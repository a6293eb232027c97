"""What is run against a planted bug: drills and a short season, then the tests of the touched room and of the loops."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from andon.sim.drills.book import all_drills
from tests.planted.patches import Planted

LIMIT_S = 600.0
"""A step that takes longer does not end: that is a failure too, and is named as one."""
LAST = "loops"
"""The tests of this room put the others together."""
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


class Hunt(msgspec.Struct, frozen=True, kw_only=True):
    """How the search for one bug went."""

    patch: str
    found_by: str | None
    """The drill, season or test that failed; None: nothing did."""
    seconds: float


def hunt(patch: Planted, copy: Path) -> Hunt:
    """Runs one step after the other in a copy that has the bug; stops at the first that fails."""
    began = time.monotonic()
    found = next((by for step in steps(patch) if (by := run_step(step, copy)) is not None), None)
    return Hunt(patch=patch.name, found_by=found, seconds=round(time.monotonic() - began, 1))


def steps(patch: Planted) -> list[list[str]]:
    """The commands: what found it last, the drills and a season, and the tests of its rooms."""
    first = [_tests(patch.look_first)] if patch.look_first is not None else []
    return [*first, ["tests.planted.play", *drills_of(patch.incident)], *room_tests(patch.rooms)]


def drills_of(incident: str) -> list[str]:
    """The drills of an incident, by its number: T4 has T4 and T4b."""
    return [each for each in all_drills() if re.fullmatch(rf"{incident}[a-z]?", each)]


def room_tests(rooms: tuple[str, ...]) -> list[list[str]]:
    """The tests of these rooms, and of the loops."""
    return [_tests(f"tests/{room}") for room in dict.fromkeys((*rooms, LAST))]


def _tests(where: str) -> list[str]:
    return ["pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--no-header", where]


def run_step(step: list[str], copy: Path) -> str | None:
    """Runs a command on the sources of the copy; gives what failed."""
    here = {**os.environ, "PYTHONPATH": os.pathsep.join((str(copy / "src"), str(copy)))}
    try:
        # A place of its own: pytest closes the common one to other users when it starts, which tests beside this one
        # have just opened. A short one: sockets lie in it.
        with TemporaryDirectory(prefix="ap-", ignore_cleanup_errors=True) as place:
            Path(place).chmod(0o755)
            done = subprocess.run(
                [sys.executable, "-m", *step],
                cwd=copy,
                env={**here, "PYTEST_DEBUG_TEMPROOT": place},
                capture_output=True,
                text=True,
                check=False,
                timeout=LIMIT_S,
            )
    except subprocess.TimeoutExpired:
        return f"{step[0]} {step[-1]} did not end in {LIMIT_S:g} s"
    if done.returncode == 0:
        return None
    failed = _FAILED.search(done.stdout)
    lines = (done.stdout + done.stderr).strip().splitlines() or ["no output"]
    return failed[1] if failed is not None else lines[-1][:200]
