"""Looks that fail: the doctor says that it cannot tell, and blames neither the credential nor the webhook."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from andon.doctor.examine import Examination, Patient, Report
from andon.model.config import Config
from andon.rules.doctor_finding import Check, State
from andon.runtime.clock import SystemClock
from andon.runtime.toml_file import parse_toml
from tests.doctor.failing_github import FailingGitHub

PUBLIC = "https://ci.example.org"
AWAY = (502, {"message": "Bad Gateway"})
FORBIDDEN = (403, {"message": "Resource not accessible"})
QUOTA = {"resources": {"core": {"limit": 5000, "used": 0, "remaining": 5000, "reset": 1}}}
HOOK = {
    "id": 3,
    "active": True,
    "events": ["workflow_job", "workflow_run"],
    "config": {"url": f"{PUBLIC}/webhooks/github", "content_type": "json", "secret": "********"},
}
TOKEN = 'token_file = "github.token"'
APP = 'app_id = 7\nprivate_key_file = "app.pem"'


@pytest.fixture
def github() -> Iterator[FailingGitHub]:
    made = FailingGitHub()
    made.answers = {
        "/rate_limit": (200, QUOTA),
        "/repos/acme/app": (
            200,
            {"id": 1, "full_name": "acme/app", "owner": {"login": "acme", "type": "Organization"}},
        ),
        "/repos/acme/app/actions/runs": (200, {"total_count": 0, "workflow_runs": []}),
        "/repos/acme/app/actions/runners/registration-token": (
            201,
            {"token": "t", "expires_at": "2100-01-01T00:00:00Z"},
        ),
        "/repos/acme/app/actions/runners": (200, {"total_count": 0, "runners": []}),
        "/repos/acme/app/hooks": (200, [HOOK]),
        "/orgs/acme/hooks": (200, []),
        "/repos/acme/app/hooks/3/deliveries": (200, []),
    }
    yield made
    made.close()


def examine(
    github: FailingGitHub, folder: Path, *, credential: str = TOKEN, owner: str = 'repositories = ["acme/app"]'
) -> Report:
    for name, content in (("github.token", "a-token"), ("webhook.secret", "hush")):
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
    text = (
        f'[server]\npublic_url = "{PUBLIC}"\n[github]\napi_url = "{github.url}"\n{credential}\n'
        f'[[owner]]\nlogin = "acme"\n{owner}\n[[pool]]\nname = "linux"\nlabels = ["self-hosted"]\n'
    )
    path = folder / "andon.toml"
    patient = Patient(config=parse_toml(path, text, Config), path=path, data=folder, why_no_place="no address is known")
    walk = Examination(patient, clock=SystemClock(), tell=lambda check: None, working=lambda what: None)
    return asyncio.run(walk.run())


def of(report: Report, name: str) -> Check:
    (found,) = [check for check in report.checks if check.name == name]
    return found


def ids(report: Report) -> set[str]:
    return {finding.id for check in report.checks for finding in check.findings}


def test_where_every_look_succeeds_all_is_fine(github: FailingGitHub, tmp_path: Path) -> None:
    report = examine(github, tmp_path)
    assert ids(report) == set()
    for name in ("github", "repositories", "permissions", "webhook", "budget"):
        assert of(report, name).state is State.FINE, name


@pytest.mark.parametrize(
    ("answer", "found", "said"),
    [
        ((401, {"message": "Bad credentials"}), {"github.unauthorised"}, "refused"),
        (FORBIDDEN, {"github.unauthorised"}, "refused"),
        (AWAY, {"github.unreachable"}, "no answer"),
        ((429, {"message": "API rate limit exceeded"}), set[str](), "429, API rate limit exceeded"),
        ((418, {"message": "no"}), set[str](), "418, no"),
    ],
)
def test_only_a_refusal_is_a_bad_credential(
    github: FailingGitHub, tmp_path: Path, answer: tuple[int, dict[str, str]], found: set[str], said: str
) -> None:
    github.answers["/rate_limit"] = answer
    report = examine(github, tmp_path)
    assert ids(report) == found
    assert said in of(report, "github").note
    assert of(report, "permissions").state is State.UNKNOWN
    assert report.code == (1 if found else 2)


def test_a_delivery_log_that_cannot_be_read_is_not_fine(github: FailingGitHub, tmp_path: Path) -> None:
    github.answers["/repos/acme/app/hooks/3/deliveries"] = AWAY
    report = examine(github, tmp_path)
    check = of(report, "deliveries")
    assert check.state is State.UNKNOWN and "acme/app: the delivery log could not be read (502" in check.note
    assert report.ledger is None


@pytest.mark.parametrize("shared", [FORBIDDEN, (404, {"message": "Not Found"}), AWAY])
def test_an_organisation_whose_webhooks_are_hidden_may_have_ours(
    github: FailingGitHub, tmp_path: Path, shared: tuple[int, dict[str, str]]
) -> None:
    github.answers["/orgs/acme/hooks"] = shared
    assert of(examine(github, tmp_path), "webhook").state is State.FINE
    github.answers["/repos/acme/app/hooks"] = (200, [])
    report = examine(github, tmp_path)
    assert ids(report) == set()
    assert of(report, "webhook").state is State.UNKNOWN and "webhooks of acme" in of(report, "webhook").note


def test_a_persons_repository_without_a_webhook_has_none(github: FailingGitHub, tmp_path: Path) -> None:
    github.answers["/repos/acme/app"] = (200, {"owner": {"login": "acme", "type": "User"}})
    github.answers["/repos/acme/app/hooks"] = (200, [])
    del github.answers["/orgs/acme/hooks"]
    assert ids(examine(github, tmp_path)) == {"hook.absent"}


@pytest.mark.parametrize(("shared", "state"), [((200, [HOOK]), State.FINE), (FORBIDDEN, State.UNKNOWN)])
def test_an_organisation_without_named_repositories(
    github: FailingGitHub, tmp_path: Path, shared: tuple[int, object], state: State
) -> None:
    github.answers["/orgs/acme/hooks"] = shared
    report = examine(github, tmp_path, owner='runners = "organisation"')
    assert of(report, "webhook").state is state
    assert "hook.absent" not in ids(report)


def test_what_an_app_cannot_list_is_carried_on(github: FailingGitHub, tmp_path: Path) -> None:
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    (tmp_path / "app.pem").write_bytes(rsa.generate_private_key(65537, 2048).private_bytes(*pem))
    (tmp_path / "app.pem").chmod(0o600)
    app = {"id": 7, "slug": "andon", "name": "andon", "events": [], "permissions": {}, "html_url": "https://x"}
    github.answers |= {
        "/app": (200, app),
        "/orgs/acme/installation": (200, {"id": 5, "account": {"login": "acme"}, "permissions": {}}),
        "/app/installations/5/access_tokens": (201, {"token": "t", "expires_at": "2100-01-01T00:00:00Z"}),
        "/app/installations": AWAY,
        "/installation/repositories": AWAY,
    }
    report = examine(github, tmp_path, credential=APP, owner="")
    assert of(report, "github").state is State.FINE
    for name, said in (
        ("repositories", "the repositories of acme could not be listed (502"),
        ("permissions", "the App's installations could not be listed (502"),
        ("runner program", "the repositories of acme could not be listed (502"),
    ):
        check = of(report, name)
        assert check.state is State.UNKNOWN and said in check.note, check
