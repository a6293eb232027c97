"""An agent one version older or newer is served: what both know is taken, what only one knows proves
nothing (R39)."""

from typing import Any

import pytest

from andon import __version__
from andon.model.claim_states import ClaimEvent, ClaimState
from andon.model.wire import WIRE_VERSION
from andon.sim.virtual_time import VirtualClock
from andon.store import claims, hosts
from andon.store.apply_news import apply_job_news
from andon.store.claims import Change, advance
from andon.store.transaction import Store
from andon.web.control_plane import ControlPlane
from tests.support.builders import START, a_claim, a_config, at, job_news
from tests.support.control import a_control_plane, ask
from tests.support.running import read, write

TOKEN = "aht_x"


class Skewed:
    """A control plane with one claim whose runner may be started, and an agent that speaks plain JSON."""

    def __init__(self, store: Store, clock: VirtualClock) -> None:
        self.store, self.clock = store, clock
        self.control: ControlPlane = a_control_plane(store, clock)
        self.seq = 0

        def prepare(tx: Any) -> None:
            hosts.enrol(tx, "host-a", TOKEN)
            apply_job_news(tx, job_news(1), a_config())
            claims.reserve(tx, [a_claim()])
            minted = claims.get_claim(tx.connection, "clm_1")
            assert minted is not None
            advance(tx, minted, Change(event=ClaimEvent.MINTED, actor="test", reason="test", deadline=at(60)))
            claims.keep_jit_config(tx, "clm_1", "a-secret")

        write(store, prepare)

    def sync(self, *slots: dict[str, Any], v: int = WIRE_VERSION, **sections: Any) -> Any:
        self.seq += 1
        body = {"v": v, "host": "host-a", "boot_id": "b", "seq": self.seq, "agent_version": "1", **sections}
        if slots:
            body["slots"] = list(slots)
        # Something to acknowledge: the answer is not held.
        body.setdefault("ended", [{"claim": "clm_none", "generation": 1, "at": START.isoformat()}])

        async def work(http: Any) -> Any:
            return await http.post("/agent/v1/sync", json=body, headers={"authorization": f"Bearer {TOKEN}"})

        return ask(self.control, work)

    def state(self) -> ClaimState:
        claim = read(self.store, lambda connection: claims.get_claim(connection, "clm_1"))
        assert claim is not None
        return claim.state

    def slots(self) -> list[dict[str, Any]]:
        async def work(http: Any) -> Any:
            return await http.get("/api/v1/hosts/host-a")

        return ask(self.control, work).json()["slots"]

    def idle(self) -> int:
        """Slots of the pool that can be claimed."""

        async def work(http: Any) -> Any:
            return await http.get("/api/v1/pools")

        return int(ask(self.control, work).json()["items"][0]["idle"])


@pytest.fixture
def skewed(store: Store, clock: VirtualClock) -> Skewed:
    return Skewed(store, clock)


def on_slot(state: str, **more: Any) -> dict[str, Any]:
    return {"slot": 0, "pool": "linux", "state": state, "claim": "clm_1", "generation": 1, **more}


def free(slot: int, state: str = "idle") -> dict[str, Any]:
    return {"slot": slot, "pool": "linux", "state": state}


def test_an_agent_of_another_version_is_told_on_its_page(skewed: Skewed) -> None:
    async def work(http: Any) -> Any:
        return await http.get("/hosts/host-a")

    skewed.sync(free(0))
    assert 'id="skew"' in ask(skewed.control, work, pages=True).text
    skewed.sync(free(0), agent_version=__version__)
    assert 'id="skew"' not in ask(skewed.control, work, pages=True).text


@pytest.mark.parametrize("v", [WIRE_VERSION - 1, WIRE_VERSION, WIRE_VERSION + 1])
def test_one_version_of_skew_is_served_either_way(skewed: Skewed, v: int) -> None:
    answer = skewed.sync(free(0), v=v)
    assert answer.status_code == 200
    assert [order["id"] for order in answer.json()["claims"]] == ["clm_1"]


@pytest.mark.parametrize("v", [WIRE_VERSION - 2, WIRE_VERSION + 2])
def test_two_versions_are_refused_in_one_sentence_and_change_nothing(skewed: Skewed, v: int) -> None:
    answer = skewed.sync(on_slot("listening"), v=v)
    assert answer.status_code == 426
    assert answer.json()["error"]["message"] == f"Wire version {v} is not served."
    assert skewed.state() is ClaimState.MINTED


def test_what_only_a_newer_agent_says_is_passed_over(skewed: Skewed) -> None:
    more = {"pulse": 60, "nested": {"a": [1]}}
    end = {"claim": "clm_none", "generation": 1, "at": START.isoformat(), "core_dump": "/x", "phase": "late"}
    answer = skewed.sync(
        on_slot("listening", **more), v=2, ended=[end], weather={"rain": True}, leases=[], caches=[{"id": 1}]
    )
    assert answer.status_code == 200
    assert skewed.state() is ClaimState.REGISTERED


def test_a_state_that_only_a_newer_agent_knows_moves_nothing_and_ends_nothing(skewed: Skewed) -> None:
    answer = skewed.sync(on_slot("warming"), free(1, "resting"), v=2)
    assert answer.status_code == 200 and answer.json()["stop"] == []
    assert skewed.state() is ClaimState.MINTED
    assert [slot["state"] for slot in skewed.slots()] == ["unknown", "unknown"]
    assert skewed.idle() == 0, "what is unknown is no capacity"
    skewed.sync(on_slot("running"), free(1), v=2)
    assert skewed.state() is ClaimState.REGISTERED, "the next word that both know counts"
    assert skewed.idle() == 1


def test_a_live_job_behind_an_unknown_state_goes_on(skewed: Skewed) -> None:
    skewed.sync(on_slot("listening"))
    news = job_news(1, "in_progress", runner_name="andon-f-clm_1", runner_id=5)
    write(skewed.store, lambda tx: apply_job_news(tx, news, a_config()))
    assert skewed.state() is ClaimState.BUSY
    assert skewed.sync(on_slot("paused by a later version"), v=2).status_code == 200
    assert skewed.state() is ClaimState.BUSY
    assert skewed.slots()[0]["state"] == "running", "GitHub's word stands"


def test_an_older_agent_that_says_the_least_is_served(skewed: Skewed) -> None:
    assert skewed.sync(on_slot("starting"), v=0).status_code == 200
    assert skewed.state() is ClaimState.LAUNCHED
    answer = skewed.sync(v=0)
    assert answer.status_code == 200 and answer.json()["ack"] == 2
    assert skewed.state() is ClaimState.LAUNCHED, "a section that is not there is unchanged"
    end = {"claim": "clm_1", "generation": 1, "at": START.isoformat()}
    assert skewed.sync(free(0), v=0, ended=[end]).status_code == 200
    assert skewed.state() is ClaimState.ORPHANED


def test_workspaces_of_an_older_and_of_a_newer_agent_are_kept(skewed: Skewed) -> None:
    least = {"id": "10-1-a", "run_id": 10, "attempt": 1, "state": "leased"}
    newer = {**least, "id": "10-1-b", "state": "thawing", "inode": 7, "held_by": ["a new reason"]}
    answer = skewed.sync(free(0), v=2, leases=[least, newer])
    assert answer.json()["runs"] == {"10": "queued"} and answer.json()["jobs"] == {}

    async def work(http: Any) -> Any:
        return await http.get("/api/v1/workspaces")

    seen = ask(skewed.control, work).json()["items"]
    assert [(each["id"], each["state"], each["why"]) for each in seen] == [
        ("10-1-a", "leased", "Its job runs."),
        ("10-1-b", "thawing", "a new reason."),
    ]
    # Then it is the older one again, which has none and says so.
    assert skewed.sync(free(0), leases=[]).json()["runs"] == {}
