"""`andon workspace list|show`: which run holds what, since when, why it is not gone yet."""

from typing import Any

import pytest

from tests.cli.test_reads import stamp

Andon = Any
FakeServer = Any
ID = "7-1-test-aaaaaaaaaa"


def a_view(**changes: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "host": "host-a",
        "slot": 3,
        "repository": "acme/app",
        "run_id": 7,
        "attempt": 1,
        "job_key": "test",
        "job": 5,
        "conclusion": None,
        "run": "in_progress",
        "runner": "r-0",
        "path": f"/andon/runs/3/{ID}",
        "state": "leased",
        "since": stamp(minutes=3),
        "held_by": [],
        "why": "Its job runs.",
        "overdue": False,
        "bytes": None,
        "standalone": False,
        "made_at": stamp(minutes=3),
        "told_at": stamp(minutes=1),
        **changes,
    }


@pytest.mark.parametrize(("overdue", "code"), [(False, 0), (True, 1)])
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_the_list_exits_1_when_one_is_held_too_long(
    andon: Andon, server: FakeServer, overdue: bool, code: int, flags: tuple[str, ...]
) -> None:
    view = a_view(overdue=overdue, why="process 12 (make) works in it.")
    server.answers["/api/v1/workspaces"] = (200, {"items": [view], "next": None})
    ran = andon("workspace", "list", "--host", "host-a", "--state", "leased", *flags, "--server", server.url)
    assert ran.code == code
    assert "host=host-a" in server.asked[-1] and "state=leased" in server.asked[-1]
    if flags:
        assert ran.json["items"] == [view]
    else:
        assert f"{ID}  host-a/3  acme/app    5    leased" in ran.out
        assert "process 12 (make) works in it." in ran.out


def test_one_is_shown_with_its_run_and_why_it_is_there(andon: Andon, server: FakeServer) -> None:
    server.answers[f"/api/v1/workspaces/{ID}"] = (200, a_view(job=None, standalone=True, why="a\x1b[31m mount"))
    ran = andon("workspace", "show", ID, "--server", server.url)
    assert ran.code == 0
    assert "acme/app  run 7  attempt 1  test" in ran.out and "not known yet" in ran.out
    assert "while the agent was away" in ran.out
    assert "\x1b" not in ran.out
    assert andon("workspace", "show", ID, "--json", "--server", server.url).json["id"] == ID


def test_none_and_an_unknown_one(andon: Andon, server: FakeServer) -> None:
    server.answers["/api/v1/workspaces"] = (200, {"items": [], "next": None})
    assert andon("workspace", "list", "--server", server.url).out.startswith("No workspaces.")
    ran = andon("workspace", "show", "../x", "--server", server.url)
    assert ran.code == 2 and "known here" in ran.err
