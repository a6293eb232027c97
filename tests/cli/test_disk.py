"""`andon disk status`: room on the hosts' filesystems; exit code 1 when one is at its hard mark or worse."""

from typing import Any

import pytest

from tests.cli.test_reads import stamp

Andon = Any
FakeServer = Any
GIB = 2**30


def a_view(**changes: Any) -> dict[str, Any]:
    return {
        "host": "host-a",
        "mount": "/data",
        "total": 100 * GIB,
        "free": 12 * GIB,
        "inodes": 200,
        "inodes_free": 33,
        "reserved": 3 * GIB,
        "floor": 5 * GIB,
        "level": "soft",
        "level_since": stamp(minutes=3),
        "admits": True,
        "full_in_s": 5400,
        "slots": [0],
        "told_at": stamp(minutes=1),
        "classes": [{"class": "dead", "bytes": 7 * GIB, "count": 2}, {"class": "moonbase", "bytes": None, "count": 1}],
        "pinned": [{"path": "/data/x\x1b[31m", "bytes": None, "by": "process 7 works in it", "lease": None}],
        "passes": [],
        "deletions": [],
        **changes,
    }


@pytest.mark.parametrize(("level", "code"), [("ok", 0), ("soft", 0), ("hard", 1), ("emergency", 1), ("later", 0)])
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_it_exits_1_at_the_hard_mark(
    andon: Andon, server: FakeServer, level: str, code: int, flags: tuple[str, ...]
) -> None:
    view = a_view(level=level)
    server.answers["/api/v1/disk"] = (200, {"items": [view], "next": None})
    ran = andon("disk", "status", "--host", "host-a", *flags, "--server", server.url)
    assert ran.code == code
    assert "host=host-a" in server.asked[-1]
    if flags:
        assert ran.json["items"] == [view]
    else:
        assert f"host-a  /data  {level}" in ran.out
        assert "12.0 GiB" in ran.out and "100.0 GiB" in ran.out and "3.0 GiB" in ran.out and "16 %" in ran.out
        assert "dead   7.0 GiB       2" in ran.out and "not measured" in ran.out
        assert "process 7 works in it" in ran.out and "\x1b" not in ran.out


def test_no_filesystem_is_no_finding(andon: Andon, server: FakeServer) -> None:
    server.answers["/api/v1/disk"] = (200, {"items": [], "next": None})
    ran = andon("disk", "status", "--server", server.url)
    assert ran.code == 0 and "No host tells of a filesystem" in ran.out
