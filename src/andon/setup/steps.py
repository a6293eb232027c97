"""The steps that an installation is made of: what each does, in words; `machine` does them and undoes them."""

import shlex
from pathlib import Path

import msgspec


class MakeUser(msgspec.Struct, frozen=True, kw_only=True):
    """A system user with a group of its own and no way to log in."""

    name: str
    home: Path
    comment: str
    make_home: bool = True

    def __str__(self) -> str:
        return f"user {self.name}, home {self.home}"


class MakeFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder with an owner (and the group of that name) and a mode; its parents as they come."""

    path: Path
    owner: str = "root"
    mode: int = 0o755

    def __str__(self) -> str:
        return f"folder {self.path} of {self.owner}, mode {self.mode:04o}"


class SetOwner(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is there already gets an owner and a mode."""

    path: Path
    owner: str
    mode: int

    def __str__(self) -> str:
        return f"file {self.path} of {self.owner}, mode {self.mode:04o}"


class WriteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file with exactly this text, of root, mode 0644; `mark`: an earlier file must contain it."""

    path: Path
    content: str
    mark: str

    def __str__(self) -> str:
        return f"file {self.path}"


class RunCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A program of the system that is run; doing it twice does no harm."""

    command: tuple[str, ...]
    undone_by: str | None = None

    def __str__(self) -> str:
        return shlex.join(self.command)


Step = MakeUser | MakeFolder | SetOwner | WriteFile | RunCommand


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What an installation would do, in order, and what a person has to know about it."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
