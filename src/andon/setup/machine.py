"""The machine that steps are carried out on; below a prefix it is a folder that looks like one."""

import os
import pwd
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from andon.runtime.errors import Refused
from andon.runtime.files import write_atomically
from andon.setup.steps import MakeFolder, MakeUser, RunCommand, SetOwner, Step, WriteFile

_BOOTED = Path("/run/systemd/system")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A user's numbers."""

    uid: int
    gid: int


class Machine:
    """Looks at users and files, and carries steps out. `prefix`: everything happens below that folder."""

    def __init__(self, prefix: Path | None = None) -> None:
        self.prefix = prefix.absolute() if prefix is not None else None

    @property
    def top(self) -> Path:
        """The folder that stands for `/`."""
        return self.prefix or Path("/")

    def at(self, path: Path) -> Path:
        """Where an absolute path of the machine really lies."""
        return path if self.prefix is None else self.prefix / path.relative_to("/")

    @property
    def runs_systemd(self) -> bool:
        """Whether systemd is the machine's first process, and the machine is this one."""
        return self.prefix is None and _BOOTED.is_dir()

    def is_active(self, unit: str) -> bool:
        """Whether systemd says that the unit runs."""
        return self.runs_systemd and self._run(("systemctl", "is-active", "--quiet", unit)).returncode == 0

    def account(self, name: str) -> Account | None:
        """The user called `name`, or None."""
        if self.prefix is None:
            try:
                found = pwd.getpwnam(name)
            except KeyError:
                return None
            return Account(uid=found.pw_uid, gid=found.pw_gid)
        try:
            lines = self.at(Path("/etc/passwd")).read_text(encoding="utf-8").splitlines()
        except OSError:
            return None
        for fields in (line.split(":") for line in lines):
            if fields[0] == name:
                return Account(uid=int(fields[2]), gid=int(fields[3]))
        return None

    def has(self, step: Step) -> bool:
        """Whether there is nothing to do for this step."""
        if isinstance(step, MakeUser):
            return self.account(step.name) is not None
        if isinstance(step, RunCommand):
            return False
        path = self.at(step.path)
        if isinstance(step, WriteFile):
            return self._text(path) == step.content
        account = self.account(step.owner)
        try:
            found = path.stat()
        except OSError:
            return False
        owned = account is not None and (found.st_uid, found.st_gid) == (account.uid, account.gid)
        return owned and found.st_mode & 0o7777 == step.mode

    def carry_out(self, step: Step) -> None:
        """Does the step. Raises Refused with one sentence; what it was about is then as before."""
        try:
            if isinstance(step, MakeUser):
                self._make_user(step)
            elif isinstance(step, RunCommand):
                self._checked(step.command)
            elif isinstance(step, WriteFile):
                self._write(step)
            else:
                self._own(step)
        except OSError as error:
            raise Refused(f"{step}: that failed ({error.strerror or error}). Mend it and install again.") from None

    def undo_of(self, step: Step) -> str | None:
        """The command that would bring back what is there now; asked before the step is carried out."""
        if isinstance(step, MakeUser):
            return shlex.join(("userdel", *self._prefix(), *(("--remove",) if step.make_home else ()), step.name))
        if isinstance(step, RunCommand):
            return step.undone_by
        path = self.at(step.path)
        place = shlex.quote(str(path))
        try:
            found = path.lstat()
        except OSError:
            return f"rmdir --ignore-fail-on-non-empty {place}" if isinstance(step, MakeFolder) else f"rm {place}"
        if isinstance(step, WriteFile):
            # An earlier unit of ours; who wants it installs the earlier version.
            return f"rm {place}"
        return f"chown {found.st_uid}:{found.st_gid} {place} && chmod {found.st_mode & 0o7777:04o} {place}"

    def _make_user(self, step: MakeUser) -> None:
        # useradd makes the home itself, but not the folders above it.
        self.at(step.home.parent).mkdir(parents=True, exist_ok=True)
        home = "--create-home" if step.make_home else "--no-create-home"
        about = ("--home-dir", str(step.home), "--shell", "/usr/sbin/nologin", "--comment", step.comment)
        self._checked(("useradd", *self._prefix(), "--system", "--user-group", home, *about, step.name))
        if step.make_home:
            # Whatever the system's default is: no slot reads another's home.
            self.at(step.home).chmod(0o700)

    def _prefix(self) -> tuple[str, ...]:
        return () if self.prefix is None else ("--prefix", str(self.prefix))

    def _write(self, step: WriteFile) -> None:
        path = self.at(step.path)
        earlier = self._text(path)
        if earlier is not None and step.mark not in earlier:
            raise Refused(f"{path}: this file was not written by Andon. Move it away, and install again.")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, step.content.encode())

    def _own(self, step: MakeFolder | SetOwner) -> None:
        account = self.account(step.owner)
        if account is None:
            raise Refused(f'{step}: this machine has no user "{step.owner}". Make it, and install again.')
        path = self.at(step.path)
        if isinstance(step, MakeFolder):
            path.mkdir(parents=True, exist_ok=True)
        # A link would hand somebody else's file over.
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fchown(file, account.uid, account.gid)
            os.fchmod(file, step.mode)
        finally:
            os.close(file)

    @staticmethod
    def _text(path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return "" if path.exists() else None

    @staticmethod
    def _run(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        environ: Mapping[str, str] = {"PATH": _PATH, "LC_ALL": "C.UTF-8"}
        return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)

    def _checked(self, command: tuple[str, ...]) -> None:
        ran = self._run(command)
        if ran.returncode != 0:
            said = " ".join((ran.stderr or ran.stdout).split()) or f"exit code {ran.returncode}"
            raise Refused(f"{command[0]} failed ({said[:300]}). Mend that, and install again.")
