"""The pages in a real browser: alive, honest when not, readable, and still while they change."""

from collections.abc import Iterator

import pytest

from andon.model.incident_kinds import IncidentCode
from andon.rules.liveness_fleet import Finding
from andon.store import incidents
from tests.support.builders import START
from tests.support.running import read
from tests.web.browser import Tab, browsing, find_browser
from tests.web.page_fleet import PageFleet, Served, fill_busy, fill_disks

CONTRAST = """
(() => {
  const numbers = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const part = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const ground = (at) => {
    for (let each = at; each; each = each.parentElement) {
      const found = numbers(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const each of document.querySelectorAll("main *, header *, footer *")) {
    const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !each.checkVisibility() || each.closest("svg")) continue;
    const [one, other] = [light(numbers(getComputedStyle(each).color)), light(ground(each))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < 4.5) poor.push(`${each.tagName}.${each.className} ${each.textContent.trim().slice(0, 30)} ${ratio}`);
  }
  return poor;
})()
"""

CLIPPED = """
[...document.querySelectorAll("td, th")]
  .filter((each) => each.scrollWidth > each.clientWidth)
  .map((each) => each.innerText)
"""

QUIET = """
new Promise((done) => {
  let quiet = setTimeout(done, 1500);
  new PerformanceObserver(() => { clearTimeout(quiet); quiet = setTimeout(done, 1500); }).observe({ type: "resource" });
})
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    program = find_browser()
    if program is None:
        pytest.skip("NO BROWSER: the pages were not looked at; install chromium to run this test")
    with browsing(program, tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def tab(browser: Tab) -> Iterator[Tab]:
    browser.complaints.clear()
    yield browser
    browser.go("about:blank")


@pytest.fixture
def server(fleet: PageFleet) -> Iterator[Served]:
    found = Served(fleet)
    yield found
    found.stop()


def test_a_change_reaches_an_open_board_and_moves_nothing_else(fleet: PageFleet, server: Served, tab: Tab) -> None:
    fleet.host("host-a")
    fleet.news(1, "queued", name="first", labels=("self-hosted", "gpu"))
    tab.shape(1280, 900)
    tab.go(server.url)
    tab.until("document.getElementById('live').textContent === 'live'")
    tab.run("(document.querySelector('#w1 a').focus(), window.kept = document.getElementById('w1'), 1)")
    before = tab.run("JSON.stringify(document.getElementById('slot-host-a-3').getBoundingClientRect())")
    fleet.news(2, "queued", name="second")
    fleet.start(2, "host-a", 0, name="second")
    tab.until("document.querySelector('#slot-host-a-0.running a')?.textContent === 'second'")
    assert tab.run("document.getElementById('w1') === window.kept")
    assert tab.run("document.activeElement.textContent") == "first"
    assert tab.run("JSON.stringify(document.getElementById('slot-host-a-3').getBoundingClientRect())") == before
    fleet.news(1, "completed", conclusion="cancelled")
    tab.until("!document.getElementById('w1') && document.getElementById('f1')")
    assert tab.complaints == []


def test_a_row_that_moves_keeps_the_focus(fleet: PageFleet, server: Served, tab: Tab) -> None:
    fleet.clock.advance(60)
    fleet.news(8, "waiting", name="gated")
    fleet.news(9, "queued", name="queued")
    tab.go(server.url)
    tab.until("document.getElementById('live').textContent === 'live'")
    assert tab.run("[...document.querySelectorAll('.waiting tbody tr')].map((row) => row.id).join()") == "w9,w8"
    tab.run("document.querySelector('#w8 a').focus()")
    fleet.clock.advance(60)
    fleet.news(8, "queued", name="gated", created_at=START)
    tab.until("document.querySelector('.waiting tbody tr').id === 'w8'")
    assert tab.run("document.activeElement.textContent") == "gated"


def test_durations_tick_without_the_server(fleet: PageFleet, server: Served, tab: Tab) -> None:
    fleet.host("host-a")
    tab.go(server.url)
    seen = "document.querySelector('#slot-host-a-0 time').textContent"
    assert tab.run(seen) in ("0 s", "1 s")
    # The fleet's clock stands still, so only the page's own can have counted.
    tab.until(f"{seen} === '2 s'")


def test_what_was_opened_stays_open(fleet: PageFleet, server: Served, tab: Tab) -> None:
    fleet.host("host-a")
    fleet.news(1, "queued")
    tab.go(f"{server.url}/jobs/1")
    tab.until("document.getElementById('live').textContent === 'live'")
    tab.run("document.querySelector('.timeline details').open = true")
    fleet.start(1, "host-a", 0)
    tab.until("document.querySelector('#verdict').textContent.includes('running')")
    assert tab.run("document.querySelector('.timeline details').open")
    assert tab.run("document.querySelectorAll('.timeline > li').length") == 7


def test_a_board_that_lost_its_server_says_so(fleet: PageFleet, server: Served, tab: Tab) -> None:
    fleet.host("host-a")
    tab.go(server.url)
    tab.until("document.getElementById('live').textContent === 'live'")
    # Nothing is being fetched any more, so it is the stream alone that can notice.
    tab.run(QUIET)
    server.stop()
    tab.until("/^not live since \\d\\d:\\d\\d:\\d\\d UTC$/.test(document.getElementById('live').textContent)")


@pytest.mark.parametrize("dark", [False, True])
def test_everything_can_be_read(fleet: PageFleet, server: Served, tab: Tab, dark: bool) -> None:
    """WCAG AA contrast of every text, and nothing wider than the screen of a phone."""
    fill_busy(fleet)
    fleet.spend_quota()
    for path in ("/", "/queue", "/jobs/101", "/jobs/400", "/hosts/host-b", "/jobs/none"):
        for width in (1280, 390):
            tab.shape(width, 900, dark=dark)
            tab.go(server.url + path)
            assert tab.run(CONTRAST) == [], (path, width)
            assert tab.run("document.documentElement.scrollWidth") <= width, path
    assert [each for each in tab.complaints if "404" not in each] == []


def fill_incidents(fleet: PageFleet) -> None:
    """One that is closed after an hour and more, one that eases, and one with a long name that follows from it."""
    host = "runner-with-a-long-name.rack-12.building-7.example.internal"
    fleet.host(host)
    fleet.many_waiting(300)
    for number, subject in enumerate(("was", "fleet")):
        finding = Finding(
            code=IncidentCode.FLEET_SILENT, subject_kind="fleet", subject_id=subject, title="No host reports", facts={}
        )
        fleet.do(lambda tx, finding=finding: incidents.open_once(tx, finding, caused_by=None))
        fleet.clock.advance(3900)
        fleet.do(lambda tx: [incidents.ease(tx, each, "it is back") for each in incidents.live(tx.connection)])
        if number == 0:
            fleet.clock.advance(180)
            fleet.do(lambda tx: [incidents.past_deadline(tx, each) for each in incidents.live(tx.connection)])
    finding = Finding(
        code=IncidentCode.HOST_SILENT,
        subject_kind="host",
        subject_id=host,
        title=f"Host {host} does not report, while others do",
        facts={},
        hosts=(host,),
    )
    cause = read(fleet.store, incidents.live)[0].id
    fleet.do(lambda tx: incidents.open_once(tx, finding, caused_by=cause))
    fleet.clock.advance(75)


@pytest.mark.parametrize("dark", [False, True])
def test_incidents_and_runners_can_be_read(fleet: PageFleet, server: Served, tab: Tab, dark: bool) -> None:
    fill_busy(fleet)
    fill_incidents(fleet)
    for path in ("/incidents", "/hosts/host-a", "/hosts/host-b", "/hosts/host-c", "/jobs/200"):
        for width in (1280, 800, 390):
            tab.shape(width, 900, dark=dark)
            tab.go(server.url + path)
            assert tab.run(CONTRAST) == [], (path, width)
            assert tab.run(CLIPPED) == [], (path, width)
            assert tab.run("document.documentElement.scrollWidth") <= width, path
    assert tab.complaints == []


@pytest.mark.parametrize("dark", [False, True])
def test_disks_can_be_read(fleet: PageFleet, server: Served, tab: Tab, dark: bool) -> None:
    fill_disks(fleet)
    for path in ("/disk", "/hosts/host-a"):
        for width in (1280, 800, 390):
            tab.shape(width, 900, dark=dark)
            tab.go(server.url + path)
            assert tab.run(CONTRAST) == [], (path, width)
            assert tab.run(CLIPPED) == [], (path, width)
            assert tab.run("document.documentElement.scrollWidth") <= width, path
    assert tab.complaints == []
