"""A real filesystem on a file of its own, as large and as full as somebody wants it: for benchmarks and tests.

The file is sparse: what is only reserved on it takes nothing of the machine's disk.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path
from types import MappingProxyType

from andon.runtime.errors import AndonError

KINDS = MappingProxyType(
    {
        "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"),
        "xfs": ("mkfs.xfs", "-q", "-f", "-K"),
        "btrfs": ("mkfs.btrfs", "-q", "-f", "-K"),
    }
)
_BLOCK = 4096


class NotHere(AndonError):
    """This machine cannot give one. The message says why; `kernel`: for no want of a program."""

    def __init__(self, why: str, *, kernel: bool) -> None:
        super().__init__(why)
        self.kernel = kernel


@contextlib.contextmanager
def loop_filesystem(kind: str, mib: int, *options: str) -> Generator[Path]:
    """A filesystem of `mib` MiB, mounted until the context ends; everybody may enter it.

    Raises NotHere.
    """
    program, *arguments = KINDS[kind]
    if os.geteuid() != 0:
        raise NotHere("only root may mount a filesystem", kernel=True)
    if shutil.which(program) is None:
        raise NotHere(f"there is no {program} here; install it", kernel=False)
    with tempfile.TemporaryDirectory(prefix="andon-loop-") as place:
        Path(place).chmod(0o755)
        image, point = Path(place, "image"), Path(place, "fs")
        point.mkdir()
        with image.open("wb") as file:
            file.truncate(mib << 20)
        subprocess.run([program, *arguments, *options, str(image)], check=True, capture_output=True)
        mounted = subprocess.run(["mount", "-o", "loop", image, point], check=False, capture_output=True, text=True)
        if mounted.returncode:
            raise NotHere(f"no {kind} on a loop device can be mounted here ({mounted.stderr.strip()})", kernel=True)
        try:
            point.chmod(0o755)
            yield point
        finally:
            # Lazily: a reader of another program must not keep the rest from being cleared.
            subprocess.run(["umount", "-l", point], check=True)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Takes all bytes that the filesystem of `folder` has but `leave`, by one file; gives that."""
    filler = folder / "filler"
    file = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Asked once: btrfs shows what was taken only later.
        wanted = piece = shutil.disk_usage(folder).free - leave
        # What statvfs calls free is not all to be had in one piece, or not at all (metadata of btrfs and xfs).
        while wanted >= _BLOCK and piece >= _BLOCK:
            piece = min(piece, wanted) // _BLOCK * _BLOCK
            try:
                os.posix_fallocate(file, os.fstat(file).st_size, piece)
                wanted -= piece
            except OSError:
                piece //= 2
        _write(file, wanted)
    finally:
        os.close(file)
    return filler


def _write(file: int, wanted: int) -> None:
    """What could not be reserved: a small btrfs finds no place for a large piece while it has many small ones."""
    os.lseek(file, 0, os.SEEK_END)
    piece = bytes(1 << 20)
    with contextlib.suppress(OSError):
        while wanted >= _BLOCK:
            wanted -= os.write(file, piece[:wanted])
        os.fsync(file)


def give_back(filler: Path) -> None:
    """Removes it so that its room shows at once (xfs is slow to show what an unlinked file had)."""
    if filler.exists():
        os.truncate(filler, 0)
        filler.unlink()
