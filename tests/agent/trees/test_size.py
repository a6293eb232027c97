"""What a walk says of a tree: its bytes, when it was last used and changed, and whether all of it could be seen."""

import os
from pathlib import Path

from andon.agent.trees.size import tree_facts, tree_size

LONG_AGO = 1_000_000_000.0


def test_the_newest_use_of_a_file_anywhere_below_counts_and_that_of_directories_does_not(tmp_path: Path) -> None:
    deep = tmp_path / "entry" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"x" * 10_000)
    os.utime(deep / "file", (LONG_AGO + 500, LONG_AGO + 100))
    for folder in (deep, deep.parent, tmp_path / "entry"):
        os.utime(folder, (LONG_AGO + 9_000, LONG_AGO + 50))
    found = tree_facts(tmp_path / "entry")
    assert found.used_at == LONG_AGO + 500 and found.whole
    assert found.bytes == tree_size(tmp_path / "entry") >= 10_000


def test_the_moment_of_change_cannot_be_set_back(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"x")
    os.utime(tmp_path / "old", (LONG_AGO, LONG_AGO))
    assert tree_facts(tmp_path).changed_at > LONG_AGO + 1e8


def test_a_plain_file_is_a_tree_of_one(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 5000)
    os.utime(tmp_path / "one", (LONG_AGO, LONG_AGO + 7))
    found = tree_facts(tmp_path / "one")
    assert found.bytes >= 5000 and found.used_at == LONG_AGO + 7 and found.whole
