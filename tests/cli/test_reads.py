"""The reading commands against a control plane that says what the test wants said (R74, R90)."""

import json
import os
import pty
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

Andon = Any
FakeServer = Any


def stamp(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).isoformat().replace("+00:00", "Z")


def job_view(id: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "repository": "acme/app",
        "owner": "acme",
        "run_id": 7,
        "attempt": 1,
        "name": "test (a)",
        "workflow": "ci",
        "event": "push",
        "branch": "main",
        "sha": "0" * 40,
        "labels": ["self-hosted", "linux"],
        "pool": "linux",
        "status": "queued",
        "conclusion": None,
        "queued_at": stamp(minutes=3, seconds=5),
        "started_at": None,
        "completed_at": None,
        "runner": None,
        "host": None,
        "slot": None,
        "claim": None,
        "verdict": None,
        "why": why_view(id),
        **changes,
    }


def why_view(job: int, cause: str = "busy", **changes: Any) -> dict[str, Any]:
    return {
        "job": job,
        "cause": cause,
        "text": "All 2 slots of the pool are busy.",
        "facts": {"slots": 2},
        "until": "a job of the pool ends",
        "position": 1,
        "releases_at_most": None,
        "expected_s": [240, 660],
        "since": stamp(minutes=3),
        **changes,
    }


def host_view(name: str, observed: str = "reporting", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "intent": "open",
        "observed": observed,
        "last_seen": stamp(minutes=3, seconds=5),
        "reason": None,
        "version": "1",
        "boot_id": "b",
        "disk": [],
        "slots": [
            {
                "slot": 0,
                "kind": "jit",
                "pool": "linux",
                "state": "idle",
                "intent": "open",
                "job": None,
                "runner": None,
                "since": stamp(hours=5),
            }
        ],
        **changes,
    }


def test_why_prints_one_sentence_and_what_can_change_it(andon: Andon, server: FakeServer) -> None:
    server.answers["/api/v1/jobs/5/why"] = (200, why_view(5))
    ran = andon("why", 5, "--server", server.url)
    assert ran.code == 0
    assert ran.out.splitlines()[0] == "All 2 slots of the pool are busy."
    assert "a job of the pool ends" in ran.out
    assert "4 min to 11 min" in ran.out
    assert ran.err == ""


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        ("gate", 1),
        ("concurrency_group", 1),
        ("capped", 1),
        ("reserved", 1),
        ("stranded", 1),
        ("github", 0),
        ("unserved_label", 0),
        ("busy", 0),
        ("starting", 0),
        ("not_waiting", 0),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_why_exits_1_for_withheld_or_stranded(
    andon: Andon, server: FakeServer, cause: str, code: int, flags: tuple[str, ...]
) -> None:
    server.answers["/api/v1/jobs/5/why"] = (200, why_view(5, cause))
    assert andon("why", 5, "--server", server.url, *flags).code == code


@pytest.mark.parametrize("command", ["why", "job"])
def test_an_unknown_id_exits_2(andon: Andon, server: FakeServer, command: str) -> None:
    ran = andon(command, 99, "--server", server.url)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("andon: ")
    assert "No job 99 is known here." in ran.err
    assert ran.err.count("\n") == 1


def test_job_tells_the_whole_story(andon: Andon, server: FakeServer) -> None:
    lines = [
        {
            "id": f"jrn_{number}",
            "at": stamp(seconds=60 - number),
            "actor": "loop:dispatch",
            "kind": "claim.reserved",
            "subject": {"kind": "claim", "id": "clm_1", "generation": 1},
            "from": came,
            "to": went,
            "reason": f"reason {number}",
            "mode": mode,
            "evidence": {},
        }
        for number, (came, went, mode) in enumerate([(None, "reserved", "act"), ("reserved", "minted", "observe")])
    ]
    server.answers["/api/v1/jobs/5"] = (200, job_view(5, story=lines))
    ran = andon("job", 5, "--server", server.url)
    assert ran.code == 0
    assert "acme/app  test (a)  queued" in ran.out
    story = [line for line in ran.out.splitlines() if "claim.reserved" in line]
    assert "loop:dispatch" in story[0] and "- -> reserved" in story[0] and "reason 0" in story[0]
    assert "reserved -> minted" in story[1] and "would" in story[1]


def test_jobs_shows_open_jobs_and_the_last_that_ended(andon: Andon, server: FakeServer) -> None:
    done = [job_view(100 + n, status="completed", conclusion="success", completed_at=stamp(hours=1)) for n in range(30)]
    running = job_view(1, status="in_progress", started_at=stamp(minutes=1), host="host-a", slot=1)
    server.jobs = [running, job_view(2), job_view(3, status="waiting", why=why_view(3, "gate")), *done]
    ran = andon("jobs", "--server", server.url)
    rows = ran.out.splitlines()
    assert [row.split()[0] for row in rows] == ["JOB", "1", "2", "3", *(str(100 + n) for n in range(10))]
    assert "host-a/1" in rows[1]
    assert rows[2].endswith("busy") and rows[3].endswith("gate")
    assert not any(row != row.rstrip() for row in rows)


def test_jobs_filters_and_follows_pages(andon: Andon, server: FakeServer) -> None:
    server.page = 3
    server.jobs = [job_view(n, repository="acme/app" if n % 2 else "acme/lib") for n in range(20)]
    page = andon("jobs", "--state", "queued", "--repository", "acme/app", "--json", "--server", server.url).json
    assert [job["id"] for job in page["items"]] == list(range(1, 20, 2))
    assert page["next"] is None
    cut = andon("jobs", "--state", "queued", "--limit", 4, "--json", "--server", server.url).json
    assert len(cut["items"]) == 4
    assert cut["next"] == "4"


def test_hosts_exits_1_when_one_is_silent(andon: Andon, server: FakeServer) -> None:
    server.hosts = [host_view("host-a")]
    assert andon("hosts", "--server", server.url).code == 0
    server.hosts.append(host_view("host-b", "silent"))
    ran = andon("hosts", "--server", server.url)
    assert ran.code == 1
    assert "host-b  silent" in ran.out
    assert "host-a/0  idle" in ran.out


def test_hosts_says_until_when_a_slot_rests(andon: Andon, server: FakeServer) -> None:
    host = host_view("host-a")
    server.hosts = [host]
    assert "RESTS" not in andon("hosts", "--server", server.url).out
    host["slots"][0] |= {"state": "unavailable", "failed_starts": 4, "rests_until": "2126-01-01T00:01:00Z"}
    ran = andon("hosts", "--server", server.url)
    assert ran.out.splitlines()[-2:] == [
        "RESTS     UNTIL                 FAILED STARTS",
        "host-a/0  2126-01-01T00:01:00Z  4",
    ]


def test_status_of_a_fleet_that_is_well(andon: Andon, server: FakeServer) -> None:
    server.hosts = [host_view("host-a")]
    server.jobs = [job_view(1, status="in_progress", why=None), job_view(2), job_view(3, queued_at=stamp(minutes=1))]
    ran = andon("status", "--server", server.url)
    assert ran.code == 0
    assert "reporting 1" in ran.out
    assert "in_progress 1  queued 2" in ran.out
    found = andon("status", "--json", "--server", server.url).json
    assert found["ready"] is True
    assert found["hosts"] == {"reporting": 1, "silent": 0, "unknown": 0}
    assert found["slots"] == {"idle": 1}
    assert found["jobs"] == {"in_progress": 1, "queued": 2, "pending": 0, "waiting": 0}
    assert found["oldest_waiting"]["job"] == 2
    assert 180 <= found["oldest_waiting"]["waiting_s"] < 300
    assert found["findings"] == []


def test_status_names_what_it_finds(andon: Andon, server: FakeServer) -> None:
    server.hosts = [host_view("host-a", "silent"), host_view("host-b", "unknown", last_seen=None)]
    server.jobs = [job_view(2, why=why_view(2, "stranded")), job_view(3, why=why_view(3, "unserved_label"))]
    server.answers["/readyz"] = (503, {"status": "not ready", "missing": "Another control plane leads."})
    ran = andon("status", "--server", server.url, "--json")
    assert ran.code == 1
    assert [one["code"] for one in ran.json["findings"]] == [
        "controlplane.not_ready",
        "host.silent",
        "host.unknown",
        "job.stranded",
        "label.unserved",
    ]
    assert andon("status", "--server", server.url).out.count("\n! ") == 5


def test_status_names_rails_that_do_not_act_and_caps_that_were_reached(andon: Andon, server: FakeServer) -> None:
    def rail(name: str, **changes: Any) -> dict[str, Any]:
        still = {"switch": None, "reason": None, "since": None, "cap": 30, "acts": 0, "capped_since": None}
        return {"name": name, "mode": "act", **still, **changes}

    rails = [rail("dispatch", mode="off", switch="off"), rail("rescue", capped_since=stamp(minutes=2)), rail("drain")]
    server.answers["/api/v1/switches"] = (200, {"items": rails, "next": None})
    ran = andon("status", "--server", server.url, "--json")
    assert (ran.code, [one["code"] for one in ran.json["findings"]]) == (1, ["rail.capped"])
    assert ran.json["rails"] == {"dispatch": "off"}
    text = andon("status", "--server", server.url).out
    assert "rails" in text and "dispatch off" in text
    assert "The rail rescue reached its cap of 30 acts a minute 2 min ago." in text


@pytest.mark.parametrize("command", [("status",), ("jobs",), ("hosts",), ("job", "1"), ("why", "1")])
def test_an_unreachable_server_exits_2(andon: Andon, command: tuple[str, ...]) -> None:
    ran = andon(*command, "--server", "http://127.0.0.1:1")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("andon: http://127.0.0.1:1 did not answer")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("body", [b"<html>", b"[]", {"items": [{"name": 3}]}, {"things": []}])
def test_an_answer_that_is_none_exits_2(andon: Andon, server: FakeServer, body: object) -> None:
    server.answers["/api/v1/hosts"] = (200, body)
    ran = andon("hosts", "--server", server.url)
    assert ran.code == 2
    assert ran.err.startswith("andon: ") and ran.err.count("\n") == 1


def test_names_are_hostile_text(andon: Andon, server: FakeServer) -> None:
    server.jobs = [job_view(1, name="\x1b[2Jgone[red]x[/red]\r\n", why=None)]
    ran = andon("jobs", "--server", server.url)
    assert "\x1b" not in ran.out and "\r" not in ran.out
    assert "[red]x[/red]" in ran.out
    assert len(ran.out.splitlines()) == 2


def test_long_names_are_not_cut_in_a_pipe(andon: Andon, server: FakeServer) -> None:
    server.jobs = [job_view(1, name="n" * 500)]
    assert "n" * 500 in andon("jobs", "--server", server.url).out


def test_the_server_is_found_by_option_environment_and_file(
    andon: Andon, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no control plane is known" in andon("hosts").err
    port = server.url.rpartition(":")[2]
    Path("other.toml").write_text(f'[server]\nlisten = "0.0.0.0:{port}"\n')
    assert andon("hosts", "--config", "other.toml").code == 0
    Path("andon.toml").write_text('[agent]\nname = "a"\nserver = "http://127.0.0.1:1"\n')
    assert "127.0.0.1:1 did not answer" in andon("hosts").err
    monkeypatch.setenv("ANDON_SERVER", server.url)
    assert andon("hosts").code == 0
    assert "127.0.0.1:2 did not answer" in andon("hosts", "--server", "http://127.0.0.1:2").err
    monkeypatch.setenv("ANDON_SERVER", "nonsense")
    assert andon("hosts").err.startswith("andon: ANDON_SERVER: ")


def test_a_found_token_is_sent_only_where_it_belongs(
    andon: Andon, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = server.url.rpartition(":")[2]
    Path("andon.toml").write_text(f'[server]\nlisten = "127.0.0.1:{port}"\n')
    andon("hosts")
    assert server.tokens.pop() is None
    Path("operator.token").write_text("the-operator\n")
    andon("hosts")
    assert server.tokens.pop() == "Bearer the-operator"
    Path("viewer.token").write_text("the-viewer\n")
    andon("hosts")
    assert server.tokens.pop() == "Bearer the-viewer"
    # Another server is not told our tokens, unless somebody says that they are meant.
    andon("hosts", "--server", server.url)
    assert server.tokens.pop() is None
    andon("hosts", "--server", server.url, "--data", tmp_path)
    assert server.tokens.pop() == "Bearer the-viewer"
    Path("mine").write_text("mine\n")
    monkeypatch.setenv("ANDON_TOKEN_FILE", "mine")
    andon("hosts", "--server", server.url)
    assert server.tokens.pop() == "Bearer mine"
    ran = andon("hosts", "--token-file", "missing")
    assert ran.code == 2
    assert "missing: the token file does not exist" in ran.err


def on_terminal(server: FakeServer, *arguments: str, until: str | None = None) -> str:
    """What `andon` shows on a terminal; with `until`, the server answers once that text was seen."""
    terminal, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200", "LINES": "50"}
    environ.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, "-m", "andon", *arguments, "--server", server.url],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environ,
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while data := os.read(terminal, 65536):
                seen += data
                if until is not None and server.hold is not None and until.encode() in seen:
                    server.hold.set()
        except OSError:
            # The other end is closed: this is how a terminal says so.
            pass
        finally:
            os.close(terminal)
            if server.hold is not None:
                server.hold.set()
        process.wait(30)
    return seen.decode()


def test_a_terminal_gets_colours_and_ages(server: FakeServer) -> None:
    server.hosts = [host_view("host-a")]
    shown = on_terminal(server, "hosts")
    assert "\x1b[" in shown
    assert "3 min" in shown
    assert "5 h" in shown


def test_a_pipe_gets_neither(andon: Andon, server: FakeServer) -> None:
    server.hosts = [host_view("host-a", last_seen="2026-11-22T10:00:00.5Z")]
    ran = andon("hosts", "--server", server.url)
    assert "\x1b" not in ran.out
    assert "2026-11-22T10:00:00Z" in ran.out


def test_a_slow_answer_is_announced_on_a_terminal(server: FakeServer) -> None:
    server.hosts = [host_view("host-a")]
    server.hold = threading.Event()
    shown = on_terminal(server, "hosts", until=f"Asking {server.url}")
    assert "host-a" in shown


def test_json_is_the_apis_own(andon: Andon, server: FakeServer) -> None:
    view = job_view(5, story=[], new_key={"of": "a later version"})
    server.answers["/api/v1/jobs/5"] = (200, view)
    assert andon("job", 5, "--json", "--server", server.url).json == json.loads(json.dumps(view))


def a_status(*degraded: dict[str, Any], **changes: Any) -> tuple[int, dict[str, Any]]:
    about = {"at": stamp(), "ready": True, "missing": None, "sweep": [], **changes}
    return 200, {**about, "degraded": list(degraded)}


def a_condition(code: str, text: str, **changes: Any) -> dict[str, Any]:
    about = {"subject": "", "grave": True, "since": stamp(minutes=3), "meanwhile": ["Jobs that run go on."]}
    return {"code": code, "text": text, **about, "ends": "it is over", **changes}


def test_status_tells_what_works_less_than_it_should(andon: Andon, server: FakeServer) -> None:
    server.hosts = [host_view("host-a")]
    sweep = [{"owner": "acme", "period_s": 240.0, "wanted_s": 60.0}]
    down = a_condition("github.down", "GitHub's API fails (HTTP 502).")
    server.answers["/api/v1/status"] = a_status(down, sweep=sweep)
    ran = andon("status", "--server", server.url, "--json")
    assert ran.code == 1
    assert [one["code"] for one in ran.json["findings"]] == ["degraded.github.down"]
    assert ran.json["degraded"] == [{**down, "until": None}]
    assert ran.json["hosts"]["reporting"] == 1
    text = andon("status", "--server", server.url).out
    for words in (
        "! GitHub's API fails (HTTP 502).",
        "Jobs that run go on.",
        "It ends when it is over.",
        "every 4 min",
    ):
        assert words in text


def test_status_with_the_database_away_is_a_finding_and_no_failure(andon: Andon, server: FakeServer) -> None:
    refused = {"code": "not_ready", "message": "The database does not answer.", "hint": None}
    for path in ("/api/v1/hosts", "/api/v1/jobs", "/api/v1/switches"):
        server.answers[path] = (503, {"error": refused})
    silent = a_condition("agents.away", "1 of 2 hosts is silent (host-b).", subject="host-b")
    server.answers["/api/v1/status"] = a_status(a_condition("database.away", "The database does not answer."), silent)
    ran = andon("status", "--server", server.url, "--json")
    assert ran.code == 1
    assert [one["code"] for one in ran.json["findings"]] == ["degraded.database.away", "degraded.agents.away"]
    assert ran.json["hosts"] is None and ran.json["jobs"] is None
    assert "unknown" in andon("status", "--server", server.url).out


def test_a_silent_host_is_one_finding(andon: Andon, server: FakeServer) -> None:
    server.hosts = [host_view("host-b", "silent")]
    server.answers["/api/v1/status"] = a_status(a_condition("agents.away", "The only host is silent (host-b)."))
    ran = andon("status", "--server", server.url, "--json")
    assert [one["code"] for one in ran.json["findings"]] == ["host.silent"]
