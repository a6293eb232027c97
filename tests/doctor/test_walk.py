"""A walk of `andon doctor` along a whole fleet with planted misconfigurations: each is found, by its id.

One sandbox GitHub, one control plane and one host serve all; each case has a repository, a webhook
and a configuration file of its own, so that no case sees another's.
"""

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from andon.sim.runner.jit_config import VARIABLE, take_registration
from tests.doctor.case import Case
from tests.support.fleet import SECRET, call, wait_for


def hook_without_jobs(case: Case) -> None:
    case.hook["events"] = ("workflow_run", "push")


def hook_with_another_secret(case: Case) -> None:
    case.hook["secret"] = "another"


def hook_without_a_secret(case: Case) -> None:
    case.hook["secret"] = ""


def hook_that_sends_forms(case: Case) -> None:
    case.hook["content_type"] = "form"


def hook_that_is_off(case: Case) -> None:
    case.hook["active"] = False


def hook_elsewhere(case: Case) -> None:
    case.hook["address"] = "http://127.0.0.1:1/webhooks/github"


def no_hook(case: Case) -> None:
    case.hook["address"] = "http://127.0.0.1:1/another-program"


def lost_deliveries(case: Case) -> None:
    fault = {"kind": "delivery_lost", "match": {"repository": case.repository}, "count": 1}
    case.fleet.ask_github("POST", "/_sandbox/faults", fault)


def clock_ten_minutes_off(case: Case) -> None:
    case.off_s = 600.0


def repository_with_a_typo(case: Case) -> None:
    case.named = case.repository + "x"


def token_without_administration(case: Case) -> None:
    permissions = {"actions": "write", "repository_hooks": "read"}
    case.fleet.ask_github("POST", "/_sandbox/tokens", {"token": "a-poor-token", "permissions": permissions})
    case.secret("github.token", "a-poor-token")


def token_that_was_revoked(case: Case) -> None:
    case.fleet.ask_github("POST", "/_sandbox/tokens", {"token": "an-old-token", "scopes": ["repo"], "revoked": True})
    case.secret("github.token", "an-old-token")


def runner_version_near_its_end(case: Case) -> None:
    case.make_hook()
    case.hook["active"] = None
    wanted = {"at": case.repository, "name": "an-old-one", "labels": ["self-hosted"]}
    made = case.fleet.ask_github("POST", "/_sandbox/runners", wanted)
    runner, _ = take_registration({VARIABLE: made["encoded_jit_config"]})
    said = {"authorization": f"Bearer {runner.token}"}
    call("POST", f"{case.fleet.github}/_runner/sessions", {"version": "2.300.0"}, said)
    ends = (datetime.now(UTC) + timedelta(days=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    wanted = {"version": "2.300.0", "runtime_deprecates_at": ends}
    case.fleet.ask_github("POST", "/_sandbox/runner_versions", wanted)


def runner_group_that_is_not_there(case: Case) -> None:
    case.in_owner = 'runners = "organisation"'
    case.in_pool = "runner_group_id = 99"


def label_that_no_pool_serves(case: Case) -> None:
    case.make_hook()
    (job,) = case.fleet.run([{"name": "build", "labels": ["self-hosted", "gpu"]}], repository=case.repository)
    wait_for(
        "the job is known", lambda: case.fleet.ask(f"/api/v1/jobs?state=queued&repository={case.repository}")["items"]
    )
    run = case.fleet.ask(f"/api/v1/jobs/{job}")["run_id"]
    case.hook["active"] = None

    def cancel() -> None:
        case.fleet.ask_github("POST", f"/repos/{case.repository}/actions/runs/{run}/cancel")
        wait_for("it is over", lambda: case.fleet.ask(f"/api/v1/jobs/{job}")["status"] == "completed")

    case.clean_up.append(cancel)


def certificate_near_its_end(case: Case) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ci.example.org")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=80)).not_valid_after(now + timedelta(days=9))
    pem = serialization.Encoding.PEM
    case.secret("cert.pem", made.sign(key, hashes.SHA256()).public_bytes(pem).decode())
    plain = serialization.NoEncryption()
    case.secret("key.pem", key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain).decode())
    case.in_server = 'tls_cert_file = "cert.pem"\ntls_key_file = "key.pem"\n'


def disk_that_is_full(case: Case) -> None:
    # No file system has so much free: what the owner calls short is short.
    limits = "soft_percent = 100\nhard_percent = 99.9999\nemergency_percent = 99.9998"
    case.more = f'[agent]\nname = "a"\n[agent.disk]\n{limits}\n'


def slots_with_one_user(case: Case) -> None:
    case.more = '[agent]\nname = "a"\n[[agent.slots]]\npool = "linux"\ncount = 2\nuser = "ci"\ncommand = ["run.sh"]\n'


def secret_that_others_can_read(case: Case) -> None:
    case.secret("webhook.secret", SECRET, 0o644)


def github_that_is_away(case: Case) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        case.github = f"http://127.0.0.1:{closed.getsockname()[1]}"


def control_plane_that_is_away(case: Case) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        case.server = f"http://127.0.0.1:{closed.getsockname()[1]}"


PLANTED: dict[str, tuple[Callable[[Case], None], str]] = {
    # name -> what plants it, and the check that must find it
    "hook.events": (hook_without_jobs, "webhook"),
    "hook.content_type": (hook_that_sends_forms, "webhook"),
    "hook.inactive": (hook_that_is_off, "webhook"),
    "hook.no_secret": (hook_without_a_secret, "webhook"),
    "hook.address": (hook_elsewhere, "webhook"),
    "hook.absent": (no_hook, "webhook"),
    "delivery.signature": (hook_with_another_secret, "deliveries"),
    "delivery.failed": (lost_deliveries, "deliveries"),
    "clock.github": (clock_ten_minutes_off, "clock"),
    "repository.absent": (repository_with_a_typo, "repositories"),
    "permission.missing": (token_without_administration, "permissions"),
    "github.unauthorised": (token_that_was_revoked, "github"),
    "runner.version": (runner_version_near_its_end, "runner program"),
    "group.absent": (runner_group_that_is_not_there, "runner groups"),
    "label.unserved": (label_that_no_pool_serves, "labels"),
    "certificate.ends": (certificate_near_its_end, "certificate"),
    "disk.data": (disk_that_is_full, "disk"),
    "slot.shared_user": (slots_with_one_user, "slot users"),
    "secret.mode": (secret_that_others_can_read, "secrets"),
    "github.unreachable": (github_that_is_away, "github"),
    "controlplane.unreachable": (control_plane_that_is_away, "control plane"),
}


def test_a_fleet_that_is_fine(case: Case) -> None:
    case.make_hook()
    code, found = case.examine()
    assert found["findings"] == []
    assert {one["state"] for one in found["checks"]} == {"fine", "skipped"}
    assert code == 0
    ledger = found["ledger"]
    assert (ledger["sent"], ledger["received"], ledger["failed"], ledger["never_seen"]) == (1, 1, 0, 0)


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_found(case: Case, planted: str) -> None:
    plant, check = PLANTED[planted]
    plant(case)
    if case.hook["active"] is not None:
        case.make_hook()
    code, found = case.examine()
    assert code == 1
    finding, *_ = [one for one in found["findings"] if one["id"] == planted]
    assert finding["check"] == check
    # One sentence of what is wrong, and what to do.
    assert finding["what"].endswith(".") and len(finding["do"]) > 10
    (state,) = [one["state"] for one in found["checks"] if one["name"] == check]
    assert state == "found"


def test_eight_at_once_are_found_each(case: Case) -> None:
    """One configuration with many mistakes: none hides another."""
    at_once = (
        *(hook_without_jobs, hook_that_sends_forms, hook_with_another_secret, clock_ten_minutes_off),
        *(token_without_administration, certificate_near_its_end, disk_that_is_full, secret_that_others_can_read),
        label_that_no_pool_serves,
    )
    wanted = {name for name, (plant, _) in PLANTED.items() if plant in at_once}
    assert len(wanted) >= 8
    other = Case(case.fleet, case.folder, case.capsys, "with-a-label")
    label_that_no_pool_serves(other)
    case.clean_up += other.clean_up
    for plant in at_once[:-1]:
        plant(case)
    case.make_hook()
    code, found = case.examine()
    assert code == 1
    assert wanted <= {one["id"] for one in found["findings"]}
