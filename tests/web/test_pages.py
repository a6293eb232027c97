"""The pages as the server makes them: complete without a script, hostile text harmless, states told apart."""

import re
from datetime import datetime
from html.parser import HTMLParser

import pytest
from sqlalchemy import Engine, event

from andon.model.host_states import Intent
from andon.model.nouns import Job
from andon.model.wire import SlotState
from andon.sim.virtual_time import VirtualClock
from andon.store import fleet_views, job_views
from andon.store.transaction import Store
from andon.web.board import SHOWN_WAITING, columns, read_board
from andon.web.slot_cells import STATES
from tests.support.builders import START, slot_of
from tests.support.running import read
from tests.web.page_fleet import CONFIG, PageFleet, fill_busy, observing, with_token

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}\u202egpj.exe\x1b[31m"


class Parsed(HTMLParser):
    """What a browser would make of the page, as far as these tests ask."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.tags if attributes.get("id")]


def words_of(text: str) -> str:
    return re.sub(r"\s+", " ", Parsed(text).text)


def test_an_empty_fleet_says_what_to_do_next(fleet: PageFleet) -> None:
    text = words_of(fleet.get("/").text)
    assert "No host yet. 0 jobs run, 0 wait." in text
    assert "andon agent run --config FILE" in text and 'server = "http://127.0.0.1:8470"' in text
    assert "/webhooks/github" in text and "No webhook has arrived so far." in text
    fleet.delivery("ping")
    assert "Last delivery: ping" in words_of(fleet.get("/").text)


def test_the_board_tells_a_whole_fleet_without_a_script(fleet: PageFleet) -> None:
    fill_busy(fleet)
    answer = fleet.get("/")
    text = words_of(answer.text)
    assert "host-b has been silent since 01:17 UTC; its 4 slots are unknown. 8 jobs run, 8 wait." in text
    assert "silent for 10 min 17 s" in text
    for cause in ("busy", "capped", "no runner", "unserved label", "gate", "concurrency group", "starting"):
        assert f" {cause} " in text, cause
    assert "small uses 1 of at most 1 slots." in text
    assert "the command ./run.sh is not there" in text
    assert "failure after 40 s" in text and "success after 40 s" in text
    assert {"/jobs/200", "/jobs/400", "/hosts/host-c"} <= {str(a.get("href")) for a in Parsed(answer.text).all("a")}


def test_every_state_of_a_slot_has_a_word_a_shape_and_a_look(fleet: PageFleet) -> None:
    fleet.host("host-a", slots=7)
    fleet.host("host-b", slots=1)
    fleet.news(1, "queued")
    fleet.start(1, "host-a", 1)
    fleet.news(2, "queued")
    fleet.launch(fleet.claim(2, "host-a", 2))
    fleet.intend("host-a", Intent.DRAINING, slot=3)
    fleet.intend("host-a", Intent.QUARANTINED, slot=4)
    fleet.slot("host-a", 5, state=SlotState.UNAVAILABLE, note="no user for it")
    fleet.intend("host-a", Intent.CORDONED, slot=6)
    fleet.clock.advance(60)
    fleet.fall_silent("host-b")
    board = fleet.get("/").text
    looks = {str(each["class"]) for each in Parsed(board).all("li") if str(each.get("class")).startswith("slot ")}
    assert looks == {f"slot {state}" for state in STATES}
    uses = [str(each["href"]) for each in Parsed(board).all("use")]
    shapes = re.findall(r'<symbol id="(s-\w+)" viewBox="0 0 12 12">(.+?)</symbol>', board)
    drawn = dict(shapes)
    for state in STATES:
        assert f"#s-{state}" in uses and f" {state}" in words_of(board)
    assert len({drawn[f"s-{state}"] for state in STATES}) == len(STATES)


def test_a_cordoned_slot_is_not_counted_as_idle(fleet: PageFleet) -> None:
    fleet.host("host-a", slots=2)
    fleet.intend("host-a", Intent.CORDONED, slot=0)
    pools = read(fleet.store, lambda connection: fleet_views.pool_views(connection, CONFIG, START))
    assert (pools[0].slots, pools[0].idle) == (2, 1)


@pytest.mark.parametrize("path", ["/", "/queue", "/jobs/1", "/jobs/2", "/hosts/host-a"])
def test_hostile_text_is_only_text(fleet: PageFleet, path: str) -> None:
    fleet.host("host-a")
    names = {"name": HOSTILE, "branch": HOSTILE, "workflow": HOSTILE, "labels": ("linux", "self-hosted")}
    for job_id, slot in ((1, 0), (2, 1)):
        fleet.news(job_id, "queued", **names)
        made = fleet.start(job_id, "host-a", slot, **names)
    fleet.end(made, HOSTILE, tail=HOSTILE + "\r\n\x1b[1;31mred\x1b[0m done")
    fleet.news(3, "queued", **{**names, "labels": ("self-hosted", HOSTILE)})
    fleet.slot("host-a", 2, state=SlotState.UNAVAILABLE, note=HOSTILE)
    text = fleet.get(path).text
    page = Parsed(text)
    assert [each.get("src", "").rpartition("/")[2] for each in page.all("script")] == ["live.js"]  # type: ignore[union-attr]
    assert page.all("img") == []
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert not [1 for _, attributes in page.tags if "style" in attributes]
    assert "\u202e" not in text and "\x1b" not in text
    assert "<script>alert(1)" in page.text and "{{7*7}}" in page.text


def test_the_end_of_a_log_is_readable(fleet: PageFleet) -> None:
    fleet.host("host-a")
    fleet.news(1, "queued")
    made = fleet.start(1, "host-a", 0)
    fleet.end(made, "failure", exit=None, signal=9, tail="a\r\n\x1b[1;31mred & <b>\x1b[0m done")
    page = Parsed(fleet.get("/jobs/1").text)
    assert "a\nred & <b> done" in page.text
    assert "signal 9" in page.text


def test_ids_are_unique_so_that_parts_can_be_told_apart(fleet: PageFleet) -> None:
    fill_busy(fleet)
    for path in ("/", "/jobs/101", "/hosts/host-b", "/queue"):
        found = Parsed(fleet.get(path).text).ids()
        assert len(found) == len(set(found)), path


def test_a_job_tells_its_story(fleet: PageFleet) -> None:
    fill_busy(fleet)
    answer = fleet.get("/jobs/101")
    text = words_of(answer.text)
    for said in (
        "failure after 40 s",
        "waiting for a slot 10 s",
        "running 40 s",
        "GitHub queued the job: it wants a runner.",
        "A free slot on host-a was reserved for the job.",
        "The runner is online and listens for the job.",
        "The job started on runner andon-f1-host-a-1-000101.",
        "The job ended: failure.",
        "exit 0",
    ):
        assert said in text, said
    page = Parsed(answer.text)
    assert {"waiting", "starting", "running"} <= {str(each.get("class")) for each in page.all("rect")}
    assert len(page.all("details")) > 5
    assert "https://github.com/acme/compiler/actions/runs/9101/job/101" in [each.get("href") for each in page.all("a")]


def test_a_runner_that_was_made_for_another_job_is_shown_too(fleet: PageFleet) -> None:
    fleet.host("host-a")
    for job_id in (1, 2):
        fleet.news(job_id, "queued")
    one, two = fleet.claim(1, "host-a", 0), fleet.claim(2, "host-a", 1)
    for made in (one, two):
        fleet.launch(made, SlotState.LISTENING)
    fleet.news(2, "in_progress", runner_id=7, runner_name=one.runner_name)
    text = words_of(fleet.get("/jobs/2").text)
    assert one.runner_name in text
    assert "GitHub gave runners to other jobs than they were made for" in text
    assert slot_of(one, SlotState.RUNNING).runner == one.runner_name


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/jobs/77", "No job 77 is known here."),
        ("/jobs/%3Cb%3E", 'There is no job "<b>": job ids are numbers.'),
        ("/jobs/99999999999999999999", "job ids are numbers"),
        ("/jobs/%D9%A3", "job ids are numbers"),
        ("/hosts/nowhere", 'No host "nowhere" is enrolled here.'),
    ],
)
def test_what_is_not_there_is_a_page_that_says_so(fleet: PageFleet, path: str, said: str) -> None:
    answer = fleet.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert said in words_of(answer.text)


def test_a_reader_needs_the_token_where_the_configuration_wants_one(store: Store, clock: VirtualClock) -> None:
    fleet = PageFleet(store, clock, with_token(CONFIG))
    for path in ("/", "/queue", "/jobs/1", "/hosts/a"):
        refused = fleet.get(path)
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        assert "viewer_token_file" in refused.text
        assert fleet.get(path, authorization="Bearer wrong").status_code == 403
    assert fleet.get("/live").status_code == 401
    assert fleet.get("/", authorization="Bearer viewer-token").status_code == 200
    # The style of the refusal itself, which tells nothing.
    assert fleet.get(str(Parsed(fleet.get("/").text).all("link")[0]["href"])).status_code == 200


@pytest.mark.parametrize("path", ["/", "/queue", "/jobs/1", "/hosts/none"])
def test_pages_are_fenced_in(fleet: PageFleet, path: str) -> None:
    headers = fleet.get(path).headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_files_are_kept_under_an_address_that_names_their_content(fleet: PageFleet) -> None:
    page = Parsed(fleet.get("/").text)
    addresses = [str(each["href"]) for each in page.all("link")] + [str(each["src"]) for each in page.all("script")]
    assert len(addresses) == 3
    for address in addresses:
        answer = fleet.get(address)
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        old = re.sub(r"/static/\w+/", "/static/0123456789ab/", address)
        assert fleet.get(old).headers["cache-control"] == "no-store"
    assert fleet.get("/static/0123456789ab/pages.py").status_code == 404


def test_a_page_without_a_script_reloads_itself(fleet: PageFleet) -> None:
    assert '<noscript><meta http-equiv="refresh" content="20"></noscript>' in fleet.get("/").text


def test_what_keeps_the_fleet_from_work_stands_at_the_top(store: Store, clock: VirtualClock) -> None:
    fleet = PageFleet(store, clock, observing(CONFIG))
    fleet.host("host-a")
    fleet.missing = "Another control plane leads, or the database does not answer."
    fleet.pause("acme", "HTTP 403", 300)
    text = words_of(fleet.get("/").text)
    assert "The control plane is not ready: Another control plane leads" in text
    assert "Runners of acme cannot be registered at GitHub until 00:05:00 UTC." in text
    assert "Observe mode." in text


def test_a_calm_fleet_says_that_it_is_well(fleet: PageFleet) -> None:
    for name in ("host-a", "host-b"):
        fleet.host(name)
    assert "All 2 hosts report. 0 jobs run, 0 wait." in words_of(fleet.get("/").text)
    fleet.intend("host-b", Intent.CORDONED)
    assert "All 2 hosts report. host-b takes no new jobs." in words_of(fleet.get("/").text)


def test_a_long_queue_is_cut_on_the_board_and_whole_on_its_page(fleet: PageFleet) -> None:
    fleet.many_waiting(SHOWN_WAITING + 7)
    assert "and 7 more" in words_of(fleet.get("/").text)
    queue = Parsed(fleet.get("/queue").text)
    assert sum(each.startswith("w5") for each in queue.ids()) == SHOWN_WAITING + 7
    assert "many 56" in queue.text


def test_the_board_asks_the_same_number_of_questions_for_one_job_and_for_many(fleet: PageFleet) -> None:
    asked = 0

    def count(*_: object) -> None:
        nonlocal asked
        asked += 1

    def queries() -> int:
        nonlocal asked
        asked = 0
        event.listen(Engine, "before_cursor_execute", count)
        try:
            read(fleet.store, lambda connection: read_board(connection, fleet.control, fleet.clock.now()))
        finally:
            event.remove(Engine, "before_cursor_execute", count)
        return asked

    fleet.host("host-a")
    fleet.news(1, "queued")
    fleet.start(1, "host-a", 0)
    fleet.news(2, "queued")
    few = queries()
    fleet.many_waiting(400)
    assert queries() == few


def _age(job: Job) -> tuple[datetime | None, int]:
    return job.queued_at, job.id


def test_the_place_in_the_queue_is_the_same_for_one_and_for_all(fleet: PageFleet) -> None:
    fill_busy(fleet)
    fleet.many_waiting(20)

    def both(connection: object) -> tuple[dict[int, int], dict[int, int]]:
        waiting = job_views.waiting_jobs(connection, 100)  # type: ignore[arg-type]
        queued = [job for job in waiting if job.pool and job.status.value == "queued" and job.id != 300]
        # Counted by hand: how many of the pool's jobs were queued before it.
        one_by_one = {
            job.id: 1 + sum(1 for each in queued if each.pool == job.pool and _age(each) < _age(job)) for job in queued
        }
        return one_by_one, job_views.positions(connection, queued)  # type: ignore[arg-type]

    one_by_one, at_once = read(fleet.store, both)
    assert len(at_once) == 24
    assert at_once == one_by_one


@pytest.mark.parametrize(("slots", "wide"), [(0, 3), (1, 3), (4, 4), (6, 6), (8, 4), (16, 6)])
def test_as_many_slots_stand_in_a_row_as_can_be_read(slots: int, wide: int) -> None:
    assert columns(slots) == wide
