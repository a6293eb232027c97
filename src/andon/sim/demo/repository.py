"""Makes the demo's git repository: one branch that builds and passes, one with a genuine bug."""

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from andon.runtime.environment import environment
from andon.runtime.errors import AndonError

_HERE = Path(__file__).parent
_WRITTEN_AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
_FIXED_AT = datetime(2026, 11, 3, 15, 30, tzinfo=UTC)
_AUTHOR = ("-c", "user.name=Tally Authors", "-c", "user.email=tally@example.invalid", "-c", "commit.gpgsign=false")


class DemoRepository(NamedTuple):
    """A real repository on this machine. `url` is a `file://` address that git can clone."""

    url: str
    good_sha: str
    broken_sha: str
    good_branch: str = "main"
    broken_branch: str = "fix/rounding"


def make_repository(
    into: Path, *, written_at: datetime = _WRITTEN_AT, fixed_at: datetime = _FIXED_AT
) -> DemoRepository:
    """Makes the repository in the new folder `into`; the same dates give the same SHAs.

    Raises AndonError with git's own words, and FileExistsError when `into` is there already.
    """
    shutil.copytree(_HERE / "project", into, ignore=shutil.ignore_patterns("__pycache__", "build", "dist"))
    into.chmod(0o755)
    _git(into, "init", "--quiet", "--initial-branch=main")
    good = _commit(into, "Count a text", written_at)
    _git(into, "checkout", "--quiet", "-b", "fix/rounding")
    shutil.copytree(_HERE / "broken", into, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    broken = _commit(into, "Round shares to the nearest percent", fixed_at)
    _git(into, "checkout", "--quiet", "main")
    return DemoRepository(into.resolve().as_uri(), good, broken)


def _commit(folder: Path, message: str, at: datetime) -> str:
    _git(folder, "add", "--all")
    _git(folder, *_AUTHOR, "commit", "--quiet", "--no-verify", "-m", message, at=at)
    return _git(folder, "rev-parse", "HEAD")


def _git(folder: Path, *arguments: str, at: datetime | None = None) -> str:
    # Nothing of the caller's git takes part: neither its configuration nor the repository it may be in.
    env = {name: value for name, value in environment().items() if not name.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    if at is not None:
        env |= {"GIT_AUTHOR_DATE": at.isoformat(), "GIT_COMMITTER_DATE": at.isoformat()}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], env=env, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise AndonError("git was not found. Install git: the demo's jobs clone a repository.") from None
    if done.returncode != 0:
        raise AndonError(f"git {arguments[0]} failed in {folder}: {done.stderr.strip()[:500]}")
    return done.stdout.strip()
