"""Real filesystems on files of their own, as small and as full as a test wants them."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}


@contextlib.contextmanager
def loop_filesystem(kind: str, mib: int, *options: str) -> Iterator[Path]:
    """A filesystem of `mib` MiB, mounted; everybody may enter it. A loud skip where the machine cannot make one."""
    program, *arguments = _MAKE[kind]
    if shutil.which(program) is None:
        pytest.skip(f"NOT TESTED: no {program} here; install it")
    with tempfile.TemporaryDirectory(prefix="andon-loop-") as place:
        Path(place).chmod(0o755)
        image, point = Path(place, "image"), Path(place, "fs")
        point.mkdir()
        with image.open("wb") as file:
            file.truncate(mib << 20)
        subprocess.run([program, *arguments, *options, str(image)], check=True, capture_output=True)
        mounted = subprocess.run(["mount", "-o", "loop", image, point], check=False, capture_output=True, text=True)
        if mounted.returncode:
            pytest.skip(f"kernel: no {kind} on a loop device can be mounted here ({mounted.stderr.strip()})")
        try:
            point.chmod(0o755)
            yield point
        finally:
            subprocess.run(["umount", "-l", point], check=True)


def fill(folder: Path, *, leave: int = 0, name: str = "filler") -> Path:
    """Takes all bytes that the filesystem of `folder` has but `leave`."""
    filler = folder / name
    left = shutil.disk_usage(folder).free - leave
    if left > 0:
        said = subprocess.run(["fallocate", "-l", str(left), filler], check=False, capture_output=True)
        if said.returncode:
            with filler.open("ab") as file:
                subprocess.run(
                    ["head", "-c", str(left), "/dev/zero"], stdout=file, check=False, stderr=subprocess.DEVNULL
                )
    return filler


def give_back(filler: Path) -> None:
    """Removes it, so that its room shows at once (xfs is slow to show what an unlinked file had)."""
    if filler.exists():
        os.truncate(filler, 0)
        filler.unlink()
