"""Only directories of ours are found: not links, not files, not what others put there."""

from pathlib import Path

from andon.agent.workspaces.found import found_below

OURS = "7-1-build-0123456789"


def test_what_is_found(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert list(found_below(runs, ())) == []
    for folder in (f"0/{OURS}", "0/7-1-known-0123456789", "0/.partial-" + OURS, "0/somebody", f"x/{OURS}"):
        (runs / folder).mkdir(parents=True)
    (runs / "1").mkdir()
    (runs / "1" / "8-1-link-0123456789").symlink_to(runs / "0" / OURS)
    (runs / "1" / "8-1-file-0123456789").touch()
    (runs / "2").symlink_to(runs / "0")
    found = list(found_below(runs, {"7-1-known-0123456789"}))
    facts = (runs / "0" / OURS).stat()
    assert [(one.name, one.slot, one.made.inode) for one in found] == [(OURS, 0, facts.st_ino)]
