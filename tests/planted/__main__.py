"""`python -m tests.planted [NAME...]`: plants every bug, or those named, and says what found it.

Resumable: what was found out for exactly this content of the repository is kept in `.proof/`. Exit
code 1 when fewer than nine in ten are found, or a patch does not fit the sources any more.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from tests.planted.copy_of_sources import compile_sources, copy_sources
from tests.planted.patches import Planted, all_patches, fits, plant, take_back
from tests.planted.suite import Hunt, hunt, room_tests, run_step
from tests.proof import KEPT, content

WANTED = 0.9


def main(names: list[str]) -> int:
    """Hunts; gives the exit code."""
    wanted = [each for each in all_patches() if not names or any(name in each.name for name in names)]
    if not wanted:
        print(f"No planted bug is named {' or '.join(names)}.")
        return 2
    kept = KEPT / f"planted-{content()}"
    kept.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="andon-planted-") as folder:
        copy = Path(folder)
        copy_sources(copy)
        compile_sources(copy)
        if misfits := [each.name for each in wanted if not fits(each, copy)]:
            print("These do not fit the sources any more; write them anew:", *misfits, sep="\n  ")
            return 1
        if (broken := _healthy(wanted, copy, kept)) is not None:
            print(f"Without any bug planted, this fails: {broken}. Nothing can be found out so.")
            return 1
        hunts = [_one(each, at, len(wanted), copy, kept) for at, each in enumerate(wanted, start=1)]
    return table(wanted, hunts)


def _healthy(wanted: list[Planted], copy: Path, kept: Path) -> str | None:
    """What fails in the copy as it is: a test that is red anyhow would find everything."""
    rooms = tuple(dict.fromkeys(room for each in wanted for room in each.rooms))
    for step in (["tests.planted.play"], *room_tests(rooms)):
        passed = kept / f"healthy-{step[-1].replace('/', '-')}"
        if not passed.exists():
            print(f"without a bug: {step[0]} {step[-1]} ...", flush=True)
            if (failed := run_step(step, copy)) is not None:
                return failed
            passed.touch()
    return None


def _one(patch: Planted, at: int, of: int, copy: Path, kept: Path) -> Hunt:
    file = kept / f"{patch.name}.json"
    if file.exists():
        return msgspec.json.decode(file.read_bytes(), type=Hunt)
    plant(patch, copy)
    try:
        result = hunt(patch, copy)
    finally:
        take_back(patch, copy)
    file.write_bytes(msgspec.json.encode(result))
    print(f"{at} of {of}, {result.seconds:g} s: {patch.name}: {result.found_by or 'NOT FOUND'}", flush=True)
    return result


def table(wanted: Sequence[Planted], hunts: Sequence[Hunt]) -> int:
    """Prints what was found by what; gives the exit code."""
    print("\n| planted | would bring back | found by | seconds |\n|---|---|---|---|")
    for patch, result in zip(wanted, hunts, strict=True):
        print(f"| {patch.name} | {patch.incident} | {result.found_by or 'NOT FOUND'} | {result.seconds:g} |")
    survivors = [(patch.name, patch.says) for patch, result in zip(wanted, hunts, strict=True) if not result.found_by]
    found = len(hunts) - len(survivors)
    print(f"\n{found} of {len(hunts)} found, {found / len(hunts):.0%}; wanted are {WANTED:.0%}.")
    for name, says in survivors:
        print(f"not found: {name}: {says}")
    return int(found < WANTED * len(hunts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
