"""Enrolment, refusals and silence of the control plane: none of them costs a runner (R86)."""

import signal
import stat

import pytest

from andon.agent.hooks.plan import known_public_url
from andon.agent.root_lock import live_agent_pid

LISTENS = 'echo "Listening for Jobs"; until [ -e end ]; do sleep 0.02; done; exit 4'


def test_the_enrolment_secret_is_exchanged_once(server, make_agent):
    agent = make_agent(LISTENS, token=None)
    (agent.folder / "agent.token").write_text("the-enrolment-secret\n")
    agent.start()
    server.until_slot(0, "idle")
    assert server.enrolments[0].name == "host-a" and server.enrolments[0].clock is not None
    kept = agent.root.host_token
    assert kept.read_text().strip() == "aht_of-this-host"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    agent.end(signal.SIGTERM)
    (agent.folder / "agent.token").unlink()
    agent.start()
    server.until(lambda: len({asked.seq for asked in server.requests}) > 1, "a second start's sync")
    assert len(server.enrolments) == 1
    assert "the-enrolment-secret" not in agent.log.read_text()


@pytest.mark.parametrize(("status", "words"), [(401, "fresh token"), (409, "another [agent] name"), (426, "version")])
def test_a_refused_enrolment_is_one_clear_sentence(server, make_agent, status, words):
    server.refusing = status
    agent = make_agent(LISTENS, token="one-use-token")
    agent.start()
    assert agent.process.wait(20) == 2
    agent.process.stdout.close()
    last = agent.log.read_text().strip().splitlines()[-1]
    agent.process = None
    assert last.startswith(f'andon: {server.url}: host "host-a" was not enrolled ({status}: This is refused')
    assert words in last


def test_no_credential_is_refused_before_ready(server, make_agent):
    agent = make_agent(LISTENS, token=None)
    with pytest.raises(AssertionError):
        agent.start()
    agent.process.wait(20)
    agent.process.stdout.close()
    agent.process = None
    last = agent.log.read_text().strip().splitlines()[-1]
    assert "its.token: the agent has no credential" in last


def test_a_second_agent_on_one_root_is_refused(server, make_agent):
    agent = make_agent(LISTENS)
    ready = agent.start()
    assert live_agent_pid(agent.root.path) == ready["pid"]
    first, agent.process = agent.process, None
    with pytest.raises(AssertionError):
        agent.start()
    assert agent.process.wait(20) == 2
    agent.process.stdout.close()
    agent.process = first
    assert f"an agent (pid {first.pid}) lives on this root already" in agent.log.read_text()
    agent.end(signal.SIGKILL)
    assert live_agent_pid(agent.root.path) is None
    # What is left of the lock's file names a pid, and proves nothing.
    assert agent.root.lock.read_text().strip() == str(first.pid)


def test_an_unreachable_control_plane_is_waited_for(server, make_agent, until):
    agent = make_agent(LISTENS)
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    agent.end(signal.SIGKILL)
    port = server.port
    server.close()
    agent.start()
    until(lambda: "sync.away" in agent.log.read_text(), "said so")
    assert agent.one("c1").live
    (agent.one("c1").folder / "runner" / "end").touch()
    until(lambda: not agent.one("c1").live, "the end is seen without it")
    assert agent.process.poll() is None
    assert agent.log.read_text().count("sync.away") == 1
    assert agent.one("c1").folder.is_dir()
    server.__init__(port)
    end = server.until_end("c1")
    assert end.exit == 4
    assert any(asked.slots is not None for asked in server.requests[:1])


@pytest.mark.parametrize("status", [401, 409, 426])
def test_a_refused_sync_is_said_once_and_ends_nothing(server, make_agent, until, status):
    agent = make_agent(LISTENS)
    agent.start()
    server.claim("c1")
    server.until_slot(0, "listening")
    server.refusing = status
    seen = len(server.requests)
    (agent.one("c1").folder / "runner" / "end").touch()
    server.until(lambda: len(server.requests) > seen + 3, "more tries")
    assert agent.log.read_text().count("sync.refused") == 1
    assert agent.process.poll() is None
    server.refusing = None
    server.ends.clear()
    assert server.until_end("c1").exit == 4


def test_sections_full_state_at_boot_and_on_resync_else_only_changes(server, make_agent):
    agent = make_agent(LISTENS, count=2)
    agent.start()
    server.until(lambda: len(server.requests) >= 1, "the first sync")
    assert "slots" in server.bodies[0] and server.bodies[0]["leases"] == []
    assert server.requests[0].boot_id and len(server.requests[0].slots) == 2
    server.tell()
    server.until(lambda: len(server.requests) >= 2, "the second")
    assert "slots" not in server.bodies[1]
    assert server.requests[1].seq > server.requests[0].seq > 1_600_000_000_000_000_000
    server.resync = True
    server.tell()
    server.until(lambda: len(server.requests) >= 3 and server.requests[-1].slots, "full state again")
    assert known_public_url(agent.root) == "https://board.example"


def test_a_slot_that_is_again_as_it_was_is_told_when_nothing_in_between_was_answered(server, make_agent):
    """The control plane read "listening", and the answer never came: it must not believe that for ever."""
    agent = make_agent(LISTENS)
    agent.start()
    server.until_slot(0, "idle")
    server.claim("c1")
    server.until_slot(0, "listening")
    (agent.one("c1").folder / "runner" / "end").touch()
    server.until_end("c1")
    server.until_slot(0, "idle")
