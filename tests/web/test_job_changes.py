"""An operator's order to rescue a job: what it may touch, and what it never does (R28, R32)."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from andon.model.claim_states import ClaimState
from andon.model.config import Rails
from andon.model.nouns import Claim
from andon.sim.virtual_time import VirtualClock
from andon.store import claims
from andon.store.apply_news import apply_job_news
from andon.store.schema import outbox
from andon.store.transaction import Store, Tx
from tests.support.builders import a_claim, a_config, job_news
from tests.support.control import a_control_plane, ask
from tests.support.running import read, write
from tests.web.test_host_changes import OPERATOR, a_host
from tests.web.test_switches import flip

PATH = "/api/v1/jobs/1/rescue"


def order(store: Store, clock: VirtualClock, path: str = PATH, headers: Any = OPERATOR, **body: Any) -> Any:
    changes = {"config": body.pop("config")} if "config" in body else {}
    control = a_control_plane(store, clock, viewer_token="viewer", **changes)
    return ask(control, lambda http: http.post(path, json={"reason": "it hangs", **body}, headers=headers))


def a_job(store: Store, state: ClaimState | None = ClaimState.LAUNCHED) -> None:
    a_host(store)

    def work(tx: Tx) -> None:
        apply_job_news(tx, job_news(1), a_config())
        if state is not None:
            claims.reserve(tx, [a_claim(state=state, generation=3)])

    write(store, work)


def the_claim(store: Store) -> Claim:
    found = read(store, lambda connection: claims.get_claim(connection, "clm_1"))
    assert found is not None
    return found


def asked(store: Store) -> list[tuple[str, int]]:
    query = select(outbox.c.subject, outbox.c.generation).where(outbox.c.kind == "resolve_claim")
    return [(row.subject, row.generation) for row in read(store, lambda connection: connection.execute(query).all())]


@pytest.mark.parametrize("state", [ClaimState.MINTED, ClaimState.LAUNCHED, ClaimState.REGISTERED])
def test_its_runner_comes_into_doubt_now_and_github_is_asked(
    store: Store, clock: VirtualClock, state: ClaimState
) -> None:
    a_job(store, state)
    answer = order(store, clock, runner="andon-f-clm_1", generation=3)
    assert (answer.status_code, answer.json()["applied"], answer.json()["mode"]) == (202, True, "act")
    assert the_claim(store).state is ClaimState.ORPHANED
    assert asked(store) == [("clm_1", 3)]
    story = ask(a_control_plane(store, clock), lambda http: http.get("/api/v1/jobs/1")).json()["story"]
    (line,) = [each for each in story if each["id"] == answer.json()["journal"]]
    assert (line["actor"], line["reason"]) == ("operator", "it hangs")
    assert (line["subject"]["generation"], line["evidence"]) == (3, {"runner": "andon-f-clm_1"})


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "has no runner"),
        (ClaimState.RESERVED, "no runner was made"),
        (ClaimState.BUSY, "nothing is taken from a job that runs"),
        (ClaimState.ORPHANED, "in doubt already"),
        (ClaimState.SETTLED, "has no runner"),
    ],
)
def test_what_is_left_alone(store: Store, clock: VirtualClock, state: ClaimState | None, words: str) -> None:
    a_job(store, state)
    answer = order(store, clock)
    assert answer.status_code == 409 and words in answer.json()["error"]["message"]
    assert state is None or the_claim(store).state is state
    assert asked(store) == []


@pytest.mark.parametrize("named", [{"runner": "andon-f-clm_0"}, {"generation": 2}, {"generation": 0}])
def test_a_late_order_does_not_hit_the_successor(store: Store, clock: VirtualClock, named: Any) -> None:
    a_job(store)
    answer = order(store, clock, **named)
    assert answer.status_code == 409
    assert "its runner is andon-f-clm_1, generation 3" in answer.json()["error"]["message"]
    assert the_claim(store).state is ClaimState.LAUNCHED


def test_observe_mode_only_journals_it_and_a_rail_that_is_off_refuses(store: Store, clock: VirtualClock) -> None:
    a_job(store)
    answer = order(store, clock, config=msgspec.structs.replace(a_config(), rails=Rails(mode="observe")))
    assert (answer.status_code, answer.json()["applied"], answer.json()["mode"]) == (202, False, "observe")
    flip(store, clock, "rescue", {"mode": "off", "reason": "r"})
    assert order(store, clock).status_code == 409
    assert the_claim(store).state is ClaimState.LAUNCHED and asked(store) == []


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (PATH, {}, 401),
        (PATH, {"authorization": "Bearer viewer"}, 403),
        ("/api/v1/jobs/2/rescue", OPERATOR, 404),
        ("/api/v1/jobs/x/rescue", OPERATOR, 404),
    ],
)
def test_who_may_and_of_what(store: Store, clock: VirtualClock, path: str, headers: Any, status: int) -> None:
    a_job(store)
    answer = order(store, clock, path, headers)
    assert answer.status_code == status
    assert the_claim(store).state is ClaimState.LAUNCHED


def test_it_needs_a_reason(store: Store, clock: VirtualClock) -> None:
    a_job(store)
    assert order(store, clock, reason=" ").status_code == 422
    assert the_claim(store).state is ClaimState.LAUNCHED
