"""Who a process is, in words, as long as the kernel still shows it; and what on this host deletes by plan.

Arguments of a command line may hold secrets, so only the program and the script that it runs are named (law of the
house: no secret reaches a log).
"""

import contextlib
import os
import pwd
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from andon.agent.process_identity import line_of
from andon.model.workspaces import LeaseRecord
from andon.rules.foreign_hooks import MAX_HOOK_BYTES, deletions_in

AT_MOST = 5
_CRON = ("/etc/crontab", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/var/spool/cron")
_UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
_MOST_FILES = 500
_PARENTS_SHOWN = 3
_TRACKING = b"RUNNER_TRACKING_ID="


class Culprit(msgspec.Struct, frozen=True, kw_only=True):
    """A process that deleted or moved something, as it looked right after."""

    pid: int
    text: str
    """`The process 7 (rm, run by root in cleanup.service, started by cleanup.sh)`."""
    seen: bool
    """False: it had ended before anybody could look."""
    inside: bool = False
    """It lives in another mount namespace than ours: a container, perhaps a job's."""


def describe(pid: int) -> Culprit:
    """Who this process is. Never raises."""
    base = Path(f"/proc/{pid}")
    try:
        name = _word((base / "comm").read_text(encoding="utf-8", errors="replace"))
        user = _user((base).stat().st_uid)
    except OSError:
        return Culprit(pid=pid, text=f"The process {pid}, which had ended before anybody could look,", seen=False)
    parts = [name if (script := _script(base)) is None else f"{name}, running {script}", f"as {user}"]
    if (unit := _unit(base)) is not None:
        parts.append(f"in {unit}")
    above = [_name(each) for each in line_of(pid)[1 : 1 + _PARENTS_SHOWN]]
    if above:
        parts.append(f"started by {', by '.join(above)}")
    inside = _namespace(base) != _namespace(Path("/proc/self"))
    return Culprit(pid=pid, text=f"The process {pid} ({', '.join(parts)})", seen=True, inside=inside)


def is_jobs_own(pid: int, record: LeaseRecord) -> bool:
    """Whether the process belongs to the job of this workspace: what a job deletes of its own is its affair."""
    if record.process is not None and record.process.pid in line_of(pid):
        return True
    with contextlib.suppress(OSError):
        if record.job.tracking:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if _TRACKING + os.fsencode(record.job.tracking) in environment:
                return True
        if record.process is not None and record.process.cgroup is not None:
            own = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").strip().rpartition("::")[2]
            return Path(f"/sys/fs/cgroup{own}").is_relative_to(record.process.cgroup)
    return False


def planned_deleters(
    hooks: Iterable[Path] = (), *, cron: Iterable[str] = _CRON, units: Iterable[str] = _UNITS
) -> tuple[str, ...]:
    """What on this host deletes by plan, a sentence each: runners' hooks, cron's tables, services of timers. Blocks."""
    found = (*_hooks(hooks), *_cron(cron), *_timers(units))
    return found[:AT_MOST]


def _hooks(hooks: Iterable[Path]) -> Iterator[str]:
    for path in hooks:
        if deletes := deletions_in(_content(path)):
            yield f"A hook of a runner on this host deletes: {_word(str(path))} ({deletes[0].why})."


def _cron(places: Iterable[str]) -> Iterator[str]:
    for path in _files(places):
        if deletes := deletions_in(_content(path)):
            yield f"cron runs what deletes: {_word(str(path))}, line {deletes[0].line} ({deletes[0].why})."


def _timers(folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        for timer in sorted(Path(folder).glob("*.timer"))[:_MOST_FILES]:
            service = timer.with_suffix(".service")
            for line in (_content(service) or b"").decode("utf-8", "replace").splitlines():
                name, _, command = line.partition("=")
                if not name.strip().startswith("ExecStart"):
                    continue
                program = Path(command.strip().lstrip("-@:+!").partition(" ")[0])
                text = _content(program) if program.is_absolute() else None
                script = text if text is not None and text.startswith(b"#!") else b""
                if deletes := (*deletions_in(command.encode()), *deletions_in(script)):
                    what = f"{_word(str(program))} ({deletes[0].why})"
                    yield f"The timer {_word(timer.name)} starts what deletes: {what}."
                    break


def _files(places: Iterable[str]) -> Iterator[Path]:
    for place in places:
        path = Path(place)
        with contextlib.suppress(OSError):
            if path.is_dir():
                yield from sorted(each for each in path.rglob("*") if each.is_file())[:_MOST_FILES]
            elif path.is_file():
                yield path


def _content(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_HOOK_BYTES + 1)
    except OSError:
        return None


def _script(base: Path) -> str | None:
    """The first argument that is a file: what an interpreter runs."""
    with contextlib.suppress(OSError):
        for raw in (base / "cmdline").read_bytes().split(b"\0")[1:]:
            if raw.startswith(b"-"):
                continue
            path = Path(os.fsdecode(raw))
            return _word(str(path)) if path.is_absolute() and path.is_file() else None
    return None


def _unit(base: Path) -> str | None:
    """The service or scope that systemd runs it in."""
    with contextlib.suppress(OSError):
        for part in reversed((base / "cgroup").read_text(encoding="utf-8", errors="replace").strip().split("/")):
            if part.endswith((".service", ".scope")):
                return _word(part)
    return None


def _namespace(base: Path) -> str:
    try:
        return os.readlink(base / "ns" / "mnt")  # noqa: PTH115
    except OSError:
        return ""


def _name(pid: int) -> str:
    try:
        return _word(Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return "a process that ended"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _word(text: str) -> str:
    shown = text.strip().encode("utf-8", "backslashreplace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in shown)[:200]
