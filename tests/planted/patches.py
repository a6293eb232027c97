"""One planted bug: what its file says, and how it is put into a copy of the sources and taken out again."""

import os
import re
import subprocess
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
_FIRST_LINE = re.compile(r"([A-Z]+\d+\w*): (.+)")
_LOOK_FIRST = re.compile(r"^look first: (\S+)$", re.MULTILINE)
_TOUCHED = re.compile(r"^\+\+\+ b/(\S+)$", re.MULTILINE)


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """One patch."""

    name: str
    incident: str
    """The incident that it would bring back (T4), or the requirement that it breaks (R31)."""
    says: str
    look_first: str | None
    """The tests that found it last: whatever is run after them is the same, and dearer."""
    file: Path
    touched: tuple[str, ...]
    """Paths from the repository's top."""

    @property
    def rooms(self) -> tuple[str, ...]:
        """The rooms of what is touched: `store`, `loops` ..."""
        return tuple(dict.fromkeys(path.split("/")[2] for path in self.touched))


def all_patches() -> tuple[Planted, ...]:
    """Every patch there is, by number. Raises ValueError for one whose first line says nothing."""
    return tuple(_read(file) for file in sorted(HERE.glob("*.patch")))


def _read(file: Path) -> Planted:
    text = file.read_text()
    first = _FIRST_LINE.fullmatch(text.partition("\n")[0])
    look_first = _LOOK_FIRST.search(text)
    touched = tuple(_TOUCHED.findall(text))
    if first is None or not touched:
        raise ValueError(f"{file.name}: its first line has to be `T4: what is broken`, and a diff has to follow.")
    return Planted(
        name=file.stem,
        incident=first[1],
        says=first[2],
        look_first=look_first[1] if look_first is not None else None,
        file=file,
        touched=touched,
    )


def plant(patch: Planted, copy: Path) -> None:
    """Changes the copy. Raises ValueError when the patch does not fit the sources any more."""
    _git_apply(patch, copy)


def take_back(patch: Planted, copy: Path) -> None:
    """Makes the copy what it was."""
    _git_apply(patch, copy, "--reverse")


def fits(patch: Planted, copy: Path) -> bool:
    """Whether the patch can be planted; changes nothing."""
    try:
        _git_apply(patch, copy, "--check")
    except ValueError:
        return False
    return True


def _git_apply(patch: Planted, copy: Path, *how: str) -> None:
    # Outside of any repository, wherever the copy lies: paths count from the copy's top.
    alone = {**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.resolve().parent)}
    done = subprocess.run(
        ["git", "apply", *how, str(patch.file)], cwd=copy, env=alone, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ValueError(f"{patch.file.name} does not fit the sources any more: {done.stderr.strip()}")
