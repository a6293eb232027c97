"""A copy of everything that git tracks or would track, in which a bug can be planted without harm to anybody."""

import compileall
import py_compile
import shutil
import subprocess
from pathlib import Path

TOP = Path(__file__).parent.parent.parent


def copy_sources(to: Path) -> None:
    """Fills the folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=TOP, capture_output=True, check=True
    ).stdout
    for name in listed.decode().split("\0"):
        if name and (TOP / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(TOP / name, to / name)


def compile_sources(copy: Path) -> None:
    """Compiles what is there, to be checked by content: a patch changes a file within a second of its last change."""
    for folder in ("src", "tests"):
        compileall.compile_dir(
            copy / folder, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH, maxlevels=20
        )
