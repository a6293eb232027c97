"""The committed slice is what the script makes of the package, and it holds what the calls of ours need."""

import json

from tests.contract import slice_github_openapi
from tests.contract.npm_packages import LOCK, locked, package
from tests.contract.slice_github_openapi import FACTS, PACKAGE, made_anew, operations


def test_the_slice_is_what_the_package_gives_byte_for_byte() -> None:
    package(PACKAGE)
    assert made_anew() == FACTS.read_text(), f"make it again: python -m {slice_github_openapi.__name__}"


def test_the_slice_names_its_source_and_lacks_nothing_that_was_asked_for() -> None:
    facts = json.loads(FACTS.read_text())
    assert facts["source"] == {"package": PACKAGE, "version": locked()[PACKAGE]["version"]}
    assert facts["not_described"] == []
    assert set(facts["operations"]) == {f"{method.upper()} {path}" for path, method in operations()}
    assert FACTS.stat().st_size < 700_000


def test_facts_and_lock_hold_no_prose_and_no_address() -> None:
    text = FACTS.read_text()
    assert "://" not in text + LOCK.read_text()
    for prose in ("description", "summary", "example", "examples", "title"):
        # A field of GitHub's may be called so; then it is a schema, an object.
        assert f'"{prose}":"' not in text, prose
