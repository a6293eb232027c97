"""Incidents for people and programs: the API's shape, the page, the board's lamp and the metric (R36)."""

from typing import Any

import msgspec

from andon.model.api import IncidentView, Page
from andon.model.incident_kinds import IncidentCode
from andon.rules.liveness_fleet import Finding
from andon.store import incidents
from tests.support.control import ask
from tests.support.running import read, write
from tests.web.page_fleet import PageFleet
from tests.web.test_pages import HOSTILE, Parsed, words_of

FLEET = Finding(
    code=IncidentCode.FLEET_SILENT,
    subject_kind="fleet",
    subject_id="fleet",
    title="No host reports: All 2 hosts are silent",
    facts={},
    hosts=("host-a",),
)


def found_of(fleet: PageFleet, path: str) -> Any:
    return ask(fleet.control, lambda http: http.get(path, headers={"authorization": "Bearer viewer-token"}))


def opened(fleet: PageFleet, **changes: Any) -> str:
    finding = msgspec.structs.replace(FLEET, **changes)
    made = write(fleet.store, lambda tx: incidents.open_once(tx, finding, caused_by=None))
    assert made is not None
    return made.id


def test_the_api_gives_the_shape_of_the_contract(fleet: PageFleet) -> None:
    fleet.host("host-a")
    fleet.news(7, "queued")
    fleet.start(7, "host-a", 0)
    first = opened(fleet)
    item = found_of(fleet, f"/api/v1/incidents/{first}").json()
    (line,) = item.pop("evidence")
    assert item == {
        "id": first,
        "code": "fleet.silent",
        "severity": "page",
        "state": "open",
        "title": FLEET.title,
        "opened_at": item["opened_at"],
        "closed_at": None,
        "subject": {"kind": "fleet", "id": "fleet"},
        "caused_by": None,
        "jobs": [7],
        "repositories": ["acme/app"],
    }
    assert line.startswith("jrn_")
    page = msgspec.json.decode(found_of(fleet, "/api/v1/incidents").content, type=Page[IncidentView])
    assert [each.id for each in page.items] == [first] and page.next is None
    assert found_of(fleet, "/api/v1/incidents?state=closed").json() == {"items": [], "next": None}


def test_refusals(fleet: PageFleet) -> None:
    assert found_of(fleet, "/api/v1/incidents?state=gone").status_code == 422
    assert found_of(fleet, "/api/v1/incidents/inc_none").status_code == 404


def test_lists_go_on(fleet: PageFleet) -> None:
    made = [opened(fleet, subject_id=f"f{number}") for number in range(3)]
    page = found_of(fleet, "/api/v1/incidents?limit=2").json()
    assert [each["id"] for each in page["items"]] == made[:0:-1]
    rest = found_of(fleet, f"/api/v1/incidents?limit=2&cursor={page['next']}").json()
    assert [each["id"] for each in rest["items"]] == made[:1] and rest["next"] is None


def test_the_page_says_what_is_wrong_and_where_the_jobs_are(fleet: PageFleet) -> None:
    assert "Nothing is wrong with the fleet as a whole." in words_of(fleet.get("/incidents").text)
    fleet.host("host-a")
    fleet.news(7, "queued")
    fleet.start(7, "host-a", 0)
    opened(fleet)
    page = fleet.get("/incidents").text
    assert "1 incident is not closed" in words_of(page) and FLEET.title in words_of(page)
    assert "/jobs/7" in [each.get("href") for each in Parsed(page).all("a")]
    write(fleet.store, lambda tx: incidents.ease(tx, incidents.live(tx.connection)[0], "it is back"))
    fleet.clock.advance(3600)
    write(fleet.store, lambda tx: incidents.past_deadline(tx, incidents.live(tx.connection)[0]))
    assert read(fleet.store, incidents.live) == []
    assert "Closed last" in words_of(fleet.get("/incidents").text)


def test_each_row_has_its_lamp_its_cause_and_its_end(fleet: PageFleet) -> None:
    fleet.host("host-a")
    first = opened(fleet, title="The whole of it")
    write(fleet.store, lambda tx: incidents.ease(tx, incidents.live(tx.connection)[0], "it is back"))
    silent = msgspec.structs.replace(
        FLEET, code=IncidentCode.HOST_SILENT, subject_kind="host", subject_id="host-a", title="host-a is away"
    )
    write(fleet.store, lambda tx: incidents.open_once(tx, silent, caused_by=first))
    warn = msgspec.structs.replace(FLEET, code=IncidentCode.LABEL_THIN, subject_kind="pool", subject_id="linux")
    write(fleet.store, lambda tx: incidents.open_once(tx, warn, caused_by=None))
    answer = fleet.get("/incidents").text
    page, text = Parsed(answer), words_of(answer)
    assert [each["class"] for each in page.all("span") if "lamp" in str(each.get("class"))] == [
        "lamp amber",  # A warning that is open,
        "lamp red",  # a page that is open,
        "lamp amber",  # and one that eases.
    ]
    assert "follows from: The whole of it" in text
    links = [each.get("href") for each in page.all("a")]
    assert f"#{first}" in links and "/hosts/host-a" in links
    fleet.clock.advance(3600)
    for each in read(fleet.store, incidents.live):
        write(fleet.store, lambda tx, each=each: incidents.ease(tx, each, "it is back"))
        fleet.clock.advance(3600)
        write(fleet.store, lambda tx, each=each: incidents.past_deadline(tx, incidents.live(tx.connection)[0]))
    text = words_of(fleet.get("/incidents").text)
    assert "follows from: The whole of it" in text, "also when both are closed"
    assert "ago closed after " in text


def test_a_list_of_jobs_that_was_cut_does_not_pretend_to_be_whole(fleet: PageFleet) -> None:
    fleet.many_waiting(incidents.MOST_JOBS + 60)
    opened(fleet, hosts=())
    assert f"and {incidents.MOST_JOBS - 20} or more" in words_of(fleet.get("/incidents").text)


def test_a_host_page_leads_to_the_incidents_that_concern_it(fleet: PageFleet) -> None:
    for name in ("host-a", "host-b"):
        fleet.host(name)
    fleet.clock.advance(60)
    fleet.fall_silent("host-a")
    whole = opened(fleet)
    own = opened(
        fleet, code=IncidentCode.HOST_SILENT, subject_kind="host", subject_id="host-a", title=f"host-a {HOSTILE}"
    )
    opened(fleet, code=IncidentCode.GITHUB_DOWN, subject_kind="github", subject_id="api", title="GitHub fails")

    def shown(host: str) -> list[str]:
        found = [str(each.get("href")) for each in Parsed(fleet.get(f"/hosts/{host}").text).all("a")]
        return [each for each in found if each.startswith("/incidents#")]

    assert shown("host-a") == [f"/incidents#{whole}", f"/incidents#{own}"]
    assert shown("host-b") == [], "it reports: the fleet's silence is not its own"
    for each in read(fleet.store, incidents.live):
        write(fleet.store, lambda tx, each=each: incidents.ease(tx, each, "it is back"))
    assert "Incident, easing for 0 s: host-a" in words_of(fleet.get("/hosts/host-a").text)
    fleet.clock.advance(3600)
    for each in read(fleet.store, incidents.live):
        write(fleet.store, lambda tx, each=each: incidents.past_deadline(tx, each))
    assert shown("host-a") == []


def test_a_title_is_only_text(fleet: PageFleet) -> None:
    opened(fleet, title=HOSTILE)
    page = Parsed(fleet.get("/incidents").text)
    assert page.all("img") == [] and len(page.all("script")) == 1


def test_the_board_says_a_lost_fleet_once(fleet: PageFleet) -> None:
    fleet.host("host-a")
    fleet.clock.advance(60)
    fleet.fall_silent("host-a")
    opened(fleet)
    text = words_of(fleet.get("/").text)
    assert "No host reports: All 2 hosts are silent (since" in text
    assert "host-a has been silent since" not in text
    write(fleet.store, lambda tx: incidents.ease(tx, incidents.live(tx.connection)[0], "it is back"))
    assert "host-a has been silent since" in words_of(fleet.get("/").text)


def test_the_metric_counts_what_is_not_closed(fleet: PageFleet) -> None:
    opened(fleet)
    assert 'andon_incidents{code="fleet.silent",severity="page"} 1.0' in found_of(fleet, "/metrics").text
    write(fleet.store, lambda tx: incidents.ease(tx, incidents.live(tx.connection)[0], "it is back"))
    fleet.clock.advance(3600)
    write(fleet.store, lambda tx: incidents.past_deadline(tx, incidents.live(tx.connection)[0]))
    assert "andon_incidents{" not in found_of(fleet, "/metrics").text
