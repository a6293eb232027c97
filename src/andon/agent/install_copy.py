"""A runner's own copy of an official install folder.

The official runner keeps credentials, `_work` and `_diag` where its program stands, so two of them
in one folder would be one (interfaces.md section 10). The copy shares blocks where the filesystem
can (reflink).
"""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

from andon.agent.slot_user import SlotUser
from andon.runtime.errors import AndonError

_LEFT_OUT = ("_work", "_diag", ".runner", ".credentials")


class CopyFailed(AndonError):
    """The install folder could not be copied."""


def install_folder(command: tuple[str, ...]) -> Path | None:
    """The official install folder that the command lies in; None for any other program."""
    if not command or not Path(command[0]).is_absolute():
        return None
    folder = Path(command[0]).parent
    official = (folder / "bin" / "Runner.Listener").exists()
    scripts = (folder / "config.sh").exists() and (folder / "run.sh").exists()
    return folder if official or scripts else None


async def copy_install(source: Path, target: Path, user: SlotUser | None) -> None:
    """Copies `source` into the folder `target`, without any runner's state. Raises CopyFailed."""
    await _run("cp", "-a", "--reflink=auto", "-t", str(target), "--", *_entries(source))
    if user is not None:
        await _run("chown", "-R", "-h", f"{user.uid}:{user.gid}", "--", str(target))


def _entries(source: Path) -> list[str]:
    try:
        return [str(entry) for entry in sorted(source.iterdir()) if not entry.name.startswith(_LEFT_OUT)]
    except OSError as error:
        raise CopyFailed(f"{source}: the runner's folder cannot be read ({error.strerror})") from error


async def _run(*command: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)
    except OSError as error:
        raise CopyFailed(f"{command[0]} could not be started ({error.strerror})") from error
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        last = said.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
        raise CopyFailed(f"{command[0]} of the runner's folder failed: {last[0]}")
