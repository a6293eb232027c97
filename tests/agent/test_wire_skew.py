"""A control plane one version older or newer is obeyed in what both know; nothing else ends or starts a
runner (R39)."""

import pytest

from andon.agent.claim_record import Phase, read_status
from andon.agent.held import Life, judge

LISTENS = 'echo "Listening for Jobs"; until [ -e end ]; do sleep 0.02; done; exit 4'


def older(answer):
    """Only what no version can do without."""
    return {name: answer[name] for name in ("v", "ack", "claims")}


def newer(answer):
    """Sections, fields and words that nobody here has heard of."""
    claims = [{**order, "lane": "release", "limits": {"cpu": 4}} for order in answer["claims"]]
    return {
        **answer,
        "v": 2,
        "claims": claims,
        "stop": [{**order, "how": "gently"} for order in answer["stop"]],
        "intent": {**answer["intent"], "slots": {"1": "resting"}, "until": "later"},
        "freeze": [{"claim": order["id"], "generation": order["generation"]} for order in claims],
        "probes": [{"kind": "of a later version"}],
        "policy": {**answer.get("policy", {}), "mood": ["calm"]},
    }


@pytest.mark.parametrize("words", [older, newer])
def test_a_runner_lives_its_whole_life_under_another_version(server, make_agent, words):
    server.in_its_words = words
    agent = make_agent(LISTENS, count=2)
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    (agent.one("c1").folder / "runner" / "end").touch()
    assert server.until_end("c1").exit == 4
    server.until_slot(0, "idle")
    assert "sync.away" not in agent.log.read_text()


def test_what_a_newer_version_intends_with_a_slot_starts_nothing_there_and_ends_nothing(server, make_agent, until):
    agent = make_agent(LISTENS, count=2)
    agent.start()
    server.claim("c1", slot=1)
    server.until_slot(1, "listening")
    server.in_its_words = newer
    server.claim("c2", slot=0)
    server.until_slot(0, "listening")
    assert server.slots[1].state == "listening", "resting is not stop"
    (agent.one("c1").folder / "runner" / "end").touch()
    server.until_end("c1")
    seen = len(server.requests)
    server.claim("c3", slot=1)
    server.until(lambda: len(server.requests) > seen + 2, "it heard of the claim, again and again")
    assert server.slots[1].state == "idle", "whoever rests takes nothing new"
    server.in_its_words = lambda answer: answer
    server.tell()
    server.until_slot(1, "listening")


def test_a_newer_shims_word_is_no_end(tmp_path):
    (tmp_path / "status.json").write_text('{"phase": "warming up", "boot_id": "b", "pid": 1, "pulse": 60}')
    status = read_status(tmp_path)
    assert status is not None and status.phase is Phase.UNKNOWN
    assert judge(guarded=True, alive=True, status=status, boot="b") is Life.GUARDED
    assert judge(guarded=False, alive=True, status=status, boot="b") is Life.ALONE
