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


def test_an_old_open_one_is_not_hidden_by_newer_ones_that_are_over(andon: Any, server: Any) -> None:
    closed = [incident(id=f"inc_{number}", state="closed", closed_at=stamp(minutes=1)) for number in range(9, 6, -1)]
    old = incident(id="inc_2", title="Host host-b does not report")

    def answer(query: dict[str, str]) -> dict[str, Any]:
        items = {"open": [old], "easing": []}.get(query.get("state", ""), closed)
        return {"items": items[: int(query["limit"])], "next": "inc_8" if items is closed else None}

    server.answers["/api/v1/incidents"] = (200, answer)
    ran = andon("incidents", "--limit", "2", "--json", "--server", server.url)
    assert ran.code == 1, ran.err
    assert [each["id"] for each in ran.json["items"]] == ["inc_9", "inc_2"]
    assert ran.code == 1
