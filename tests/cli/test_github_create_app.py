"""`andon github create-app` with a browser and a GitHub that speak real HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from andon.rules.github_permissions import PERMISSIONS
from tests.support.app_walk import Start, Walk, fetch


class Peer:
    """GitHub's side of the manifest flow, as far as it matters here."""

    def __init__(self) -> None:
        self.manifests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.conversion: tuple[int, Any] = (201, None)
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
    status, page = fetch(walk.make["action"], walk.make["fields"])
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
    fetch(walk.make["action"], walk.make["fields"])
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
    assert fetch(walk.base + walk.cancel["action"], {})[0] == 200
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
    status, page = fetch(f"{walk.base}/created?code=theirs&state=wrong")
    assert status == 400 and "wrong state" in page
    assert peer.paths == []
    # Who does not know the page's address gets nothing, least of all the state.
    assert fetch(f"{walk.base}/")[0] == 404
    assert fetch(walk.make["action"], walk.make["fields"])[0] == 200
    code, out, _ = walk.end()
    assert code == 0
    assert "An answer with a wrong state came to the page and was not used" in out
    assert peer.paths.count("/app-manifests/c0de/conversions") == 1


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
    status, _ = fetch(walk.make["action"], walk.make["fields"])
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
