"""A host's first and last day over real TLS: added, enrolled, reporting, removed; and what is refused."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import DAY, Authority
from tests.support.fleet import wait_for
from tests.support.low_marks import LOW_MARKS
from tests.support.names import need_localhost


class FirstDay:
    """A control plane and hosts, each in a folder of its own."""

    def __init__(self, folder: Path, andon: Any, start: Callable[..., subprocess.Popen[str]]) -> None:
        self.folder, self.andon, self._start = folder, andon, start
        self.authority = Authority(folder)
        self.control = folder / "control"
        self.control.mkdir()
        self.ready: dict[str, Any] = {}

    def serve(self, *, certificate: Any = None, extra: str = "") -> str:
        """Starts a control plane, over TLS where a certificate is given; gives its address."""
        (self.control / "github.token").write_text("t\n")
        (self.control / "webhook.secret").write_text("s\n")
        tls = (
            f'tls_cert_file = "{certificate.certificate}"\ntls_key_file = "{certificate.key}"\n' if certificate else ""
        )
        (self.control / "andon.toml").write_text(
            f'[server]\nlisten = "127.0.0.1:0"\n{tls}{extra}'
            '[github]\napi_url = "http://127.0.0.1:1"\ntoken_file = "github.token"\n'
            '[[owner]]\nlogin = "acme"\nrepositories = ["acme/app"]\n'
            '[[pool]]\nname = "linux"\nlabels = ["self-hosted"]\n'
        )
        self.up = self._start("up", "--config", self.control / "andon.toml")
        assert self.up.stdout is not None and self.up.stderr is not None
        line = self.up.stdout.readline()
        assert line, self.up.stderr.read()
        self.url = str(json.loads(line)["url"])
        return self.url

    def asked(self, *words: object) -> Any:
        """One `andon` command as the operator on the control plane's machine."""
        own = ("--config", self.control / "andon.toml", "--data", self.control, "--server", self.url)
        return self.andon(*words, *own)

    def add(self, name: str = "host-b") -> dict[str, Any]:
        ran = self.asked("host", "add", name, "--reason", "a new machine", "--json")
        assert ran.code == 0, ran.err
        return ran.json

    def paste(self, line: str, name: str = "host-b", *more: str) -> subprocess.CompletedProcess[str]:
        """The printed line, run in a shell in the host's folder."""
        home = self.folder / name
        home.mkdir(exist_ok=True)
        own = f"{shlex.quote(sys.executable)} -m andon"
        words = " ".join((line.replace("| andon ", f"| {own} "), *more))
        environ = {key: value for key, value in os.environ.items() if not key.startswith("ANDON_")}
        return subprocess.run(
            ["/bin/sh", "-c", words], cwd=home, env=environ, capture_output=True, text=True, timeout=30, check=False
        )

    def agent(self, name: str = "host-b") -> subprocess.Popen[str]:
        config = self.folder / name / "andon.toml"
        if LOW_MARKS not in (text := config.read_text()):
            config.write_text(text + LOW_MARKS)
        return self._start("agent", "run", "--config", config)

    def hosts(self) -> dict[str, Any]:
        return {host["name"]: host for host in self.asked("hosts", "--json").json["items"]}


@pytest.fixture
def day(tmp_path: Path, andon: Any, start: Any) -> Iterator[FirstDay]:
    yield FirstDay(tmp_path, andon, start)


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_a_host_comes_and_goes_over_tls(day: FirstDay) -> None:
    day.serve(certificate=day.authority.sign())
    # The operator's machine knows the signer by its own file, and the new host by the line's option.
    with (day.control / "andon.toml").open("a") as file:
        file.write(f'[agent]\nname = "not-run-here"\nserver = "{day.url}"\nca_file = "{day.authority.file}"\n')
    added = day.add()
    assert added["token"] in added["command"] and "--token" not in added["command"]
    ca = f"--ca-file {day.authority.file}"
    pasted = day.paste(added["command"], "host-b", "--pool linux", ca)
    assert pasted.returncode == 0, pasted.stderr
    assert "Host host-b is enrolled" in pasted.stdout
    kept = day.folder / "host-b" / "host-b" / "host.token"
    assert kept.stat().st_mode & 0o777 == 0o600
    token = kept.read_text().strip()
    assert token.startswith("aht_")

    replayed = day.paste(added["command"], "host-b")
    assert replayed.returncode == 2
    assert "was not enrolled (401: This one-use token was used already" in last_line(replayed.stderr)

    agent = day.agent()
    assert agent.stdout is not None and json.loads(agent.stdout.readline())["ready"]
    wait_for("host-b reports", lambda: day.hosts().get("host-b", {}).get("observed") == "reporting", seconds=20)
    assert [slot["pool"] for slot in day.hosts()["host-b"]["slots"]] == ["linux"]

    ran = day.asked("host", "cordon", "host-b", "--reason", "its disk")
    assert (ran.code, ran.out) == (0, "Host host-b gets no new jobs.\n")
    assert day.hosts()["host-b"]["intent"] == "cordoned"
    assert day.asked("host", "uncordon", "host-b", "--reason", "a new disk").code == 0

    ran = day.asked("host", "remove", "host-b", "--reason", "sold")
    assert (ran.code, ran.out) == (0, "Host host-b is removed; its token opens nothing any more.\n")
    assert day.hosts() == {}
    assert day.asked("host", "remove", "host-b", "--reason", "sold").code == 2

    agent.terminate()
    _, said = agent.communicate(timeout=20)
    assert agent.returncode == 0
    assert "Host host-b was removed on" in said and said.count("sync.refused") == 1

    again = day.agent()
    _, said = again.communicate(timeout=20)
    assert again.returncode == 2
    assert last_line(said).startswith(f"andon: {day.url}: Host host-b was removed on")
    assert last_line(said).endswith("sold. Bring it back by `andon host add host-b`.")

    back = day.paste(day.add()["command"], "host-b")
    assert back.returncode == 0, back.stderr
    day.up.terminate()
    _, log = day.up.communicate(timeout=20)
    for secret in (added["token"], token):
        assert secret not in log + said


def test_what_the_host_is_told_when_the_certificate_is_for_another_name(day: FirstDay) -> None:
    need_localhost()
    port = day.serve(certificate=day.authority.sign()).rpartition(":")[2]
    words = f"andon agent enrol --name host-b --server https://localhost:{port} --ca-file {day.authority.file}"
    ran = day.paste(f"printf 'aot_guessed\\n' | {words}")
    assert ran.returncode == 2
    assert 'is not for "localhost" but for 127.0.0.1.' in last_line(ran.stderr)


def test_what_the_host_is_told_when_it_cannot_be_enrolled(day: FirstDay) -> None:
    good = day.authority.sign()
    url = day.serve(certificate=good)
    port = url.rpartition(":")[2]
    other = Authority(day.folder, "other")

    def told(server: str = url, ca_file: Path = day.authority.file) -> str:
        words = f"andon agent enrol --name host-b --server {server} --ca-file {ca_file}"
        ran = day.paste(f"printf 'aot_guessed\\n' | {words}")
        assert ran.returncode == 2
        assert len([each for each in ran.stderr.splitlines() if each.startswith("andon: ")]) == 1
        return last_line(ran.stderr)

    assert "(401: This one-use token is unknown here). Get a fresh one with `andon host add`." in told()
    assert "nobody that this machine trusts signed" in told(ca_file=other.file)
    assert "that port speaks TLS. Write https://" in told(f"http://127.0.0.1:{port}")
    assert "did not answer" in told("https://127.0.0.1:1")
    assert not (day.folder / "host-b" / "andon.toml").exists()


def test_an_agent_with_an_expired_server_says_when_it_expired(day: FirstDay) -> None:
    late = day.authority.sign(begins=-3 * DAY, ends=timedelta(hours=-1))
    url = day.serve(certificate=late)
    home = day.folder / "host-b"
    home.mkdir()
    (home / "one-use.token").write_text("aot_guessed\n")
    (home / "andon.toml").write_text(
        f'[agent]\nname = "host-b"\nserver = "{url}"\nca_file = "{day.authority.file}"\ntoken_file = "one-use.token"\n'
    )
    agent = day.agent()
    _, said = agent.communicate(timeout=20)
    assert agent.returncode == 2
    assert last_line(said).startswith(f"andon: {url}: the server's certificate expired on 20")
    # A host that is enrolled waits for the new certificate instead: nobody is there to start it again.
    (home / "host-b" / "host.token").write_text("aht_its-own\n")
    agent = day.agent()
    assert agent.stdout is not None and agent.stderr is not None and agent.stdout.readline()
    for text in agent.stderr:
        if "sync.away" in text:
            assert "the server's certificate expired on 20" in text
            break
    assert agent.poll() is None


def test_the_own_certificate_is_enough_for_the_operators_commands(day: FirstDay) -> None:
    url = day.serve(certificate=day.authority.sign())
    file = day.control / "andon.toml"
    file.write_text(file.read_text().replace("127.0.0.1:0", url.removeprefix("https://")))
    ran = day.andon("host", "add", "host-c", "--reason", "r", "--config", file)
    assert ran.code == 0, ran.err
    assert "andon agent enrol --name host-c" in ran.out
    assert "another machine cannot reach" in ran.err


def test_what_a_command_is_told_without_the_right_token(day: FirstDay) -> None:
    (day.control / "viewer.token").write_text("viewer-of-a-test\n")
    url = day.serve(extra='read = "token"\n')
    assert day.asked("hosts", "--json").json == {"items": [], "next": None}
    viewer = ("--server", url, "--token-file", day.control / "viewer.token")
    assert day.andon("hosts", *viewer).code == 0
    remove = ("host", "remove", "host-b", "--reason", "r")
    for words, sentence in (
        (("hosts", "--server", url), "Reading needs a token here."),
        ((*remove, "--server", url), "A change needs the operator token."),
        ((*remove, *viewer), "The viewer token may only read."),
        (
            ("hosts", "--server", url.replace("http:", "https:")),
            "that port speaks plain HTTP and no TLS. Write http://",
        ),
    ):
        ran = day.andon(*words)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("andon: ") and ran.err.count("\n") == 1 and sentence in ran.err
