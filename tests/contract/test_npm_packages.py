"""Fetching the published packages: an absent registry is said, a wrong package is refused, addresses stay out."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.contract import npm_packages

NAME, VERSION = "@octokit/example", "1.2.3"


@pytest.fixture
def a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of one package, an empty cache, and an npm of our own: `tmp_path/npm`."""
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({NAME: {"version": VERSION, "integrity": "sha512-x", "files": ["facts.json"]}}))
    monkeypatch.setattr(npm_packages, "LOCK", lock)
    monkeypatch.setattr(npm_packages, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(npm_packages, "npm", lambda: str(tmp_path / "npm"))
    return lock


def an_npm(folder: Path, script: str) -> None:
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)


def a_package(folder: Path) -> Path:
    (folder / "facts.json").write_text("{}")
    made = folder / "made.tgz"
    with tarfile.open(made, "w:gz") as archive:
        archive.add(folder / "facts.json", "package/facts.json")
    return made


def test_an_absent_registry_is_one_sentence_and_a_loud_skip(tmp_path: Path, a_lock: Path) -> None:
    an_npm(tmp_path, "echo 'npm error code ENOTFOUND' >&2; exit 1")
    with pytest.raises(npm_packages.NotFetched, match=r"does not answer for @octokit/example 1\.2\.3 \(ENOTFOUND\)"):
        npm_packages.fetch(NAME)
    with pytest.raises(pytest.skip.Exception, match="NOT checked"):
        npm_packages.package(NAME)


def test_a_package_that_is_not_the_locked_one_is_refused_whole(tmp_path: Path, a_lock: Path) -> None:
    an_npm(tmp_path, f"cp {a_package(tmp_path)} octokit-example.tgz")
    with pytest.raises(SystemExit, match=r"is not what lock\.json says: sha512-"):
        npm_packages.fetch(NAME)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_fits_is_kept_and_not_fetched_again_and_npm_leaves_nothing(tmp_path: Path, a_lock: Path) -> None:
    an_npm(
        tmp_path,
        f'mkdir -p "$npm_config_cache"; echo seen > "$npm_config_cache/address"; cp {a_package(tmp_path)} x.tgz',
    )
    with pytest.raises(SystemExit) as refused:
        npm_packages.fetch(NAME)
    digest = str(refused.value).split("says: ")[1].removesuffix(". Nothing of it is used.")
    a_lock.write_text(json.dumps({NAME: {"version": VERSION, "integrity": digest, "files": ["facts.json"]}}))
    kept = npm_packages.fetch(NAME)
    assert [path.name for path in kept.iterdir()] == ["facts.json"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [kept.name]
    an_npm(tmp_path, "exit 1")
    assert npm_packages.fetch(NAME) == kept
