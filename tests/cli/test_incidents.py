"""`andon incidents`: what is wrong, with an exit code that says whether something is open."""

from typing import Any

from tests.cli.test_reads import stamp


def incident(**changes: Any) -> dict[str, Any]:
    return {
        "id": "inc_1",
        "code": "host.silent",
        "severity": "page",
        "state": "open",
        "title": "Host host-a does not report, while others do",
        "opened_at": stamp(minutes=3),
        "closed_at": None,
        "subject": {"kind": "host", "id": "host-a"},
        "caused_by": None,
        "jobs": [7, 8],
        "repositories": ["acme/app"],
        "evidence": ["jrn_1"],
        **changes,
    }


def test_an_open_incident_is_a_finding(andon: Any, server: Any) -> None:
    page = {"items": [incident()], "next": None}
    server.answers["/api/v1/incidents"] = (200, page)
    ran = andon("incidents", "--server", server.url)
    assert ran.code == 1
    assert ran.out.splitlines()[0].split() == ["CODE", "SEVERITY", "STATE", "OPENED", "CLOSED", "JOBS", "WHAT"]
    assert "Host host-a does not report, while others do" in ran.out and "7, 8" in ran.out
    ran = andon("incidents", "--json", "--server", server.url)
    assert (ran.code, ran.json) == (1, page)


def test_what_is_over_is_none(andon: Any, server: Any) -> None:
    closed = incident(state="closed", closed_at=stamp(minutes=1))
    server.answers["/api/v1/incidents"] = (200, {"items": [closed, incident(state="easing")], "next": None})
    assert andon("incidents", "--server", server.url).code == 0
    server.answers["/api/v1/incidents"] = (200, {"items": [], "next": None})
    ran = andon("incidents", "--state", "open", "--server", server.url)
    assert (ran.code, ran.out) == (0, "No incidents.\n")
    assert any("state=open" in path for path in server.asked)
