"""The host's and the job's page say what GitHub, process and heartbeat say of a runner, and the verdict (R35)."""

from html.parser import HTMLParser

import msgspec
import pytest

from andon.model.api import Page, RunnerView
from andon.model.wire import SlotState
from andon.rules.liveness import VIEWS, GitHubView, Heartbeat, ProcessView
from andon.store import registrations
from andon.store.registrations import Place, Sighting
from andon.store.runner_views import runners_of_host
from andon.web.runner_rows import GITHUB, HEARTBEAT, PROCESS
from tests.support.control import ask
from tests.support.running import read
from tests.web.page_fleet import PageFleet
from tests.web.test_pages import words_of

PLACE = Place(owner="acme", repository="acme/app")


class Rows(HTMLParser):
    """The cells of each row of the table of runners, by the name of the runner."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[str, dict[str, str]] = {}
        self._row: dict[str, str] | None = None
        self._cell: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "tr":
            name = given.get("id") or ""
            self._row = self.rows.setdefault(name[2:], {}) if name.startswith("r-") else None
        elif tag == "td":
            self._cell = given.get("data-label")

    def handle_data(self, data: str) -> None:
        if self._row is not None and self._cell is not None:
            self._row[self._cell] = self._row.get(self._cell, "") + data


def rows_of(fleet: PageFleet, host: str) -> dict[str, dict[str, str]]:
    rows = Rows(fleet.get(f"/hosts/{host}").text).rows
    return {name: {label: " ".join(words.split()) for label, words in cells.items()} for name, cells in rows.items()}


def fill(fleet: PageFleet) -> list[str]:
    """A runner that works, one that starts, one that waits for a job, and one that is left over; gives their names."""
    fleet.host("host-a")
    fleet.host("host-b")
    for job_id in (1, 2, 3, 4):
        fleet.news(job_id, "queued")
    works = fleet.start(1, "host-a", 0)
    starts = fleet.claim(2, "host-a", 1)
    fleet.launch(starts)
    waits = fleet.claim(3, "host-a", 2)
    fleet.launch(waits, SlotState.LISTENING)
    over = fleet.start(4, "host-b", 0)
    fleet.end(over)
    fleet.clock.advance(60)
    left = [Sighting(name=over.runner_name, runner_id=9, status="offline", busy=False)]
    fleet.do(lambda tx: registrations.keep(tx, PLACE, left, []))
    return [works.runner_name, starts.runner_name, waits.runner_name, over.runner_name]


def test_the_host_page_joins_what_the_three_say(fleet: PageFleet) -> None:
    works, starts, waits, over = fill(fleet)
    found = rows_of(fleet, "host-a")
    assert found.keys() == {works, starts, waits}, "the runners of this host, and no others"
    cells = [found[works][label] for label in ("GitHub says", "Its process", "Heartbeat")]
    assert cells == ["online, busy 1 min 07 s ago", "runs a job", "fresh"]
    assert found[works]["Verdict"].startswith("working GitHub and the process say that it runs a job (all agree)")
    assert found[works]["Runner"].endswith("slot 0, job 1")
    assert found[starts]["GitHub says"] == "not read lately"
    assert found[starts]["Verdict"].startswith("starting its process lives; GitHub has not been read since (nothing")
    assert "; the claim's deadline is in 1 min 23 s)" in found[starts]["Verdict"]
    assert found[waits]["Verdict"].startswith("idle")
    (gone,) = rows_of(fleet, "host-b").values()
    assert [gone["GitHub says"], gone["Its process"]] == ["offline 0 s ago", "gone"]
    assert gone["Verdict"].startswith("stale") and "the registration is removed after its grace time" in gone["Verdict"]
    assert over in rows_of(fleet, "host-b")


def test_a_silent_host_leaves_its_runners_unknown(fleet: PageFleet) -> None:
    works, starts, _, _ = fill(fleet)
    fleet.fall_silent("host-a")
    found = rows_of(fleet, "host-a")
    assert {cells["Heartbeat"] for cells in found.values()} == {"silent"}
    assert {cells["Its process"] for cells in found.values()} == {"unknown"}
    assert found[works]["Verdict"].startswith("busy unheard GitHub has a job on it; its host is silent (nothing is")
    assert found[starts]["Verdict"].startswith("unreachable its host is silent: unknown, not down")


@pytest.mark.parametrize("silent", [False, True])
def test_page_and_api_give_one_verdict(fleet: PageFleet, silent: bool) -> None:
    fill(fleet)
    if silent:
        fleet.fall_silent("host-a")
    answer = ask(
        fleet.control, lambda http: http.get("/api/v1/runners", headers={"authorization": "Bearer viewer-token"})
    )
    told = msgspec.json.decode(answer.content, type=Page[RunnerView]).items
    by_host = {
        each.name: each.view()
        for name in ("host-a", "host-b")
        for each in read(
            fleet.store, lambda connection, name=name: runners_of_host(connection, name, fleet.clock.now())
        )
    }
    assert {each.name: each for each in told} == by_host
    for each in told:
        assert each.host is not None
        assert rows_of(fleet, each.host)[each.name]["Verdict"].startswith(each.verdict.replace("_", " ") + " ")


def test_a_host_without_runners_has_no_such_table(fleet: PageFleet) -> None:
    fleet.host("host-a")
    assert rows_of(fleet, "host-a") == {}
    assert "Runners" not in words_of(fleet.get("/hosts/host-a").text)


def test_the_job_page_says_how_its_runner_is_while_it_lives(fleet: PageFleet) -> None:
    fill(fleet)
    text = words_of(fleet.get("/jobs/1").text)
    assert "GitHub says: online, busy (1 min 07 s ago); its process: runs a job; heartbeat: fresh. working" in text
    fleet.fall_silent("host-a")
    text = words_of(fleet.get("/jobs/1").text)
    assert "GitHub says: online, busy (1 min 07 s ago); its process: unknown; heartbeat: silent. busy unheard" in text
    assert "GitHub says:" not in words_of(fleet.get("/jobs/4").text), "it is over"


def test_every_view_and_every_verdict_has_words() -> None:
    assert GITHUB.keys() == set(GitHubView) and PROCESS.keys() == set(ProcessView)
    assert HEARTBEAT.keys() == set(Heartbeat)
    for row in VIEWS:
        assert row.verdict.reason
