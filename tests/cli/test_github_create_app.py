"""`andon github create-app` with a browser and a GitHub that speak real HTTP."""

import asyncio
import errno
import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from andon.cli.main import main
from andon.model.config import Config
from andon.rules.github_permissions import PERMISSIONS
from andon.runtime.clock import SystemClock
from andon.runtime.errors import Refused
from andon.runtime.ids import new_secret
from andon.runtime.toml_file import parse_toml
from andon.setup.app_files import AppFiles
from andon.setup.create_app import AppCreation
from tests.support.app_walk import Browser, Forms, Start, Walk, fetch


class Peer:
    """GitHub's side of the manifest flow, as far as it matters here."""

    def __init__(self) -> None:
        self.manifests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.conversion: tuple[int, Any] = (201, None)
        self.asked_for_key, self.gives_key = threading.Event(), threading.Event()
        self.gives_key.set()
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                parts = urlsplit(self.path)
                peer.paths.append(parts.path)
                if parts.path.endswith("/settings/apps/new"):
                    manifest = json.loads(parse_qs(body)["manifest"][0])
                    peer.manifests.append(manifest)
                    state = parse_qs(parts.query)["state"][0]
                    self.send_response(302)
                    self.send_header(
                        "location", f"{manifest['redirect_url']}?{urlencode({'code': 'c0de', 'state': state})}"
                    )
                    self.end_headers()
                    return
                peer.asked_for_key.set()
                peer.gives_key.wait(20)
                status, answer = peer.conversion
                data = json.dumps(answer or peer.made()).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @staticmethod
    def made() -> dict[str, Any]:
        key = "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END RSA PRIVATE KEY-----\n"
        return {"id": 7, "slug": "andon", "name": "andon", "html_url": "https://x/apps/andon", "pem": key,
                "webhook_secret": "hush"}  # fmt: skip

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


def configuration(tmp_path: Path, peer: Peer, text: str = "", public_url: str = "http://127.0.0.1:1") -> Path:
    path = tmp_path / "andon.toml"
    path.write_text(f'[server]\npublic_url = "{public_url}"\n[github]\napi_url = "{peer.url}"\n{text}')
    return path


def test_the_app_is_made_and_its_secrets_are_written(start: Start, tmp_path: Path, peer: Peer) -> None:
    configuration(tmp_path, peer)
    walk = Walk(start, "--json")
    # The page names each permission with its reason.
    for permission in PERMISSIONS:
        if permission.when in ("always", "runners at repositories"):
            assert permission.reason in walk.text
    status, page = walk.fetch(walk.make["action"], walk.make["fields"])
    assert status == 200 and "app_id = 7" in page
    code, out, err = walk.end()
    assert code == 0, err
    made = json.loads(out)
    assert made["install_url"] == f"{peer.url}/apps/andon/installations/new"
    assert 'app_id = 7\nprivate_key_file = "app.pem"\n' in made["lines"]
    assert peer.paths == ["/settings/apps/new", "/app-manifests/c0de/conversions"]
    (manifest,) = peer.manifests
    assert manifest["hook_attributes"] == {"url": "http://127.0.0.1:1/webhooks/github", "active": True}
    assert manifest["default_permissions"] == {
        "metadata": "read",
        "actions": "write",
        "administration": "write",
        "checks": "read",
        "pull_requests": "read",
        "issues": "write",
    }
    assert manifest["public"] is False
    for name, content in (("app.pem", Peer.made()["pem"]), ("webhook.secret", "hush\n")):
        assert (tmp_path / name).read_text() == content
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    # No secret stands in what was printed.
    assert "hush" not in out + err + page and "PRIVATE KEY" not in out + err + page


def test_an_organisation_that_is_polled(start: Start, tmp_path: Path, peer: Peer) -> None:
    text = 'ingest = "poll"\n[[owner]]\nlogin = "acme"\nrunners = "organisation"\n'
    configuration(tmp_path, peer, text)
    walk = Walk(start, "--organisation", "acme", "--least", "--data", tmp_path)
    walk.fetch(walk.make["action"], walk.make["fields"])
    code, out, _ = walk.end()
    assert code == 0
    assert peer.paths[0] == "/organizations/acme/settings/apps/new"
    (manifest,) = peer.manifests
    assert manifest["name"] == "andon-acme"
    assert "hook_attributes" not in manifest and manifest["default_events"] == []
    assert set(manifest["default_permissions"]) == {"metadata", "actions", "organization_self_hosted_runners"}
    assert 'ingest = "poll"' in out


@pytest.mark.parametrize("name", ["app.pem", "webhook.secret"])
def test_a_file_that_is_there_is_not_overwritten(andon: Any, tmp_path: Path, peer: Peer, name: str) -> None:
    configuration(tmp_path, peer)
    (tmp_path / name).write_text("mine")
    ran = andon("github", "create-app", "--minutes", "0.02")
    assert (ran.code, ran.out) == (2, "")
    assert "is there already, and is not overwritten" in ran.err and ran.err.count("\n") == 1
    assert (tmp_path / name).read_text() == "mine"
    assert peer.paths == []


def test_cancelled_on_the_page(start: Start, tmp_path: Path, peer: Peer) -> None:
    configuration(tmp_path, peer)
    walk = Walk(start)
    assert walk.fetch(walk.base + walk.cancel["action"], {})[0] == 200
    code, _, err = walk.end()
    assert (code, err) == (2, "andon: Cancelled on the page: no App was made, and nothing was written.\n")
    assert not (tmp_path / "app.pem").exists()


def test_out_of_time(start: Start, tmp_path: Path, peer: Peer) -> None:
    configuration(tmp_path, peer)
    process = start("github", "create-app", "--no-browser", "--minutes", "0.001")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "No App was made within" in err and err.count("\n") == 1


def test_a_wrong_state_is_not_used_and_the_right_one_is_used_once(start: Start, tmp_path: Path, peer: Peer) -> None:
    configuration(tmp_path, peer)
    walk = Walk(start)
    status, page = walk.fetch(f"{walk.base}/created?code=theirs&state=wrong")
    assert status == 400 and "wrong state" in page
    assert peer.paths == []
    # Who does not know the page's address gets nothing, least of all the state.
    assert fetch(f"{walk.base}/")[0] == 404
    assert walk.fetch(walk.make["action"], walk.make["fields"])[0] == 200
    code, out, _ = walk.end()
    assert code == 0
    assert "An answer with a wrong state came to the page and was not used" in out
    assert peer.paths.count("/app-manifests/c0de/conversions") == 1


def test_another_users_browser_gets_nothing(start: Start, tmp_path: Path, peer: Peer) -> None:
    """Neither the page nor an answer is taken from who did not open it first, whatever secrets they have read."""
    configuration(tmp_path, peer)
    walk = Walk(start)
    other = Browser()
    status, page = other.fetch(walk.url)
    assert status == 403 and "another browser" in page and "manifest" not in page
    # The other user's App, with our state and a code of theirs.
    state = parse_qs(urlsplit(walk.make["action"]).query)["state"][0]
    assert other.fetch(f"{walk.base}/created?code=theirs&state={state}")[0] == 403
    assert other.fetch(f"{walk.base}{walk.cancel['action']}", {})[0] == 403
    assert peer.paths == []
    assert walk.fetch(walk.url)[0] == 200
    assert walk.fetch(walk.make["action"], walk.make["fields"])[0] == 200
    code, out, _ = walk.end()
    assert code == 0 and "opened in another browser" in out


def test_a_browser_is_led_to_the_page_by_a_file_of_its_users_own(
    tmp_path: Path, peer: Peer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = configuration(tmp_path, peer)
    seen: list[str] = []
    ends: list[threading.Thread] = []

    def opened(url: str) -> bool:
        file = Path(urlsplit(url).path)
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        found = re.search(r'href="([^"]+)"', file.read_text())
        assert found is not None
        seen.extend((url, found[1]))

        def person() -> None:
            browser = Browser()
            browser.fetch(found[1])
            browser.fetch(f"{found[1]}/cancel", {})

        ends.append(threading.Thread(target=person))
        ends[0].start()
        return True

    monkeypatch.setattr("webbrowser.open", opened)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["github", "create-app", "--config", str(path)]) == 2
    ends[0].join()
    command_line, page = seen
    assert "Cancelled on the page" in capsys.readouterr().err
    # What every user can read of the browser's process holds no part of the page's secret.
    assert command_line.startswith("file:///") and page.rpartition("/")[2] not in command_line
    assert not Path(urlsplit(command_line).path).parent.exists()


def test_a_key_that_cannot_be_written_is_said_and_no_half_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = AppFiles(key=tmp_path / "app.pem", secret=tmp_path / "webhook.secret")

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Refused, match=r"app\.pem: the file could not be written \(No space left.*The App is made"):
        files.write(key="k", secret="s")
    assert not list(tmp_path.iterdir())


class Deadline(SystemClock):
    """A clock whose sleeps end when the test says so."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.over.wait()


def test_a_slow_answer_of_github_is_waited_for(tmp_path: Path, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once GitHub has made the App, the time-out says nothing: its key is on the way."""
    # A server that stops would give the answer some seconds, too; GitHub may take longer than those.
    monkeypatch.setattr("andon.web.http_server.GRACE_S", 0)
    asyncio.run(a_walk_past_the_time_out(tmp_path, peer))


async def a_walk_past_the_time_out(tmp_path: Path, peer: Peer) -> None:
    peer.gives_key.clear()
    config = parse_toml(Path("andon.toml"), f'[github]\napi_url = "{peer.url}"\ningest = "poll"\n', Config)
    files = AppFiles(key=tmp_path / "app.pem", secret=tmp_path / "webhook.secret")
    creation = AppCreation(
        config, files, organisation=None, name="andon", least=False, new_secret=new_secret, say=lambda text: None
    )
    clock, address = Deadline(), asyncio.get_running_loop().create_future()
    run = asyncio.ensure_future(creation.run(announce=address.set_result, clock=clock, timeout_s=60.0))
    browser, page = Browser(), Forms()
    page.feed((await asyncio.to_thread(browser.fetch, await address))[1])
    make = asyncio.ensure_future(asyncio.to_thread(browser.fetch, page.forms[0]["action"], page.forms[0]["fields"]))
    assert await asyncio.to_thread(peer.asked_for_key.wait, 20)
    clock.over.set()
    done, _ = await asyncio.wait({run, make}, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
    assert not done
    peer.gives_key.set()
    assert (await make)[0] == 200
    assert (await run).app_id == 7 and files.key.exists()


@pytest.mark.parametrize(
    ("conversion", "said"),
    [
        ((404, {"message": "Not Found"}), "GitHub does not take the code: it is good for one hour and one use"),
        ((500, {"message": "Oops"}), "GitHub did not give the App's key (HTTP status 500)"),
        ((201, {"id": 7}), "GitHub did not give the App's key"),
    ],
)
def test_a_code_that_github_does_not_take(
    start: Start, tmp_path: Path, peer: Peer, conversion: tuple[int, Any], said: str
) -> None:
    configuration(tmp_path, peer)
    peer.conversion = conversion
    walk = Walk(start)
    status, _ = walk.fetch(walk.make["action"], walk.make["fields"])
    assert status == 502
    code, _, err = walk.end()
    assert code == 2
    assert said in err and err.count("\n") == 1
    assert not (tmp_path / "app.pem").exists() and not (tmp_path / "webhook.secret").exists()


def test_github_must_be_able_to_reach_the_hook(andon: Any, tmp_path: Path) -> None:
    Path("andon.toml").write_text('[server]\npublic_url = "http://127.0.0.1:8470"\n')
    ran = andon("github", "create-app", "--minutes", "0.02")
    assert ran.code == 2
    assert "GitHub must reach it from outside" in ran.err and ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--organisation", "no/login"), "is no GitHub login"),
        (("--name", "x" * 35), "GitHub takes 1 to 34"),
        (("--minutes", "0"), "--minutes"),
    ],
)
def test_bad_usage(andon: Any, tmp_path: Path, peer: Peer, arguments: tuple[str, ...], said: str) -> None:
    configuration(tmp_path, peer)
    ran = andon("github", "create-app", *arguments)
    assert ran.code == 2
    assert said in ran.err
