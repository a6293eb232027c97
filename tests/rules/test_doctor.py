"""The doctor's judgements: facts in, findings out; what is not known is never called fine."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from andon.model.api import HostDisk, HostView, PoolView, SlotView
from andon.model.config import Agent, Bar, Config, Disk, GitHub, Owner, Pool, Slots
from andon.rules import doctor_budget, doctor_fleet, doctor_github, doctor_hook, doctor_machine, doctor_runner_version
from andon.rules.doctor_finding import Check, State, exit_code, judged, unknown
from andon.rules.github_permissions import PERMISSIONS, wanted_events, wanted_permissions

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ADDRESS = "https://ci.example.org/webhooks/github"
AT_REPOSITORIES = Config(owner=(Owner(login="acme", repositories=("acme/app",)),))
AT_ORGANISATION = Config(owner=(Owner(login="acme", runners="organisation"),), pool=(Pool(name="p", labels=("x",)),))


def ids(check: Check) -> list[str]:
    return [finding.id for finding in check.findings]


@pytest.mark.parametrize(
    ("states", "code"),
    [((), 0), ((State.FINE, State.SKIPPED), 0), ((State.FINE, State.UNKNOWN), 2), ((State.UNKNOWN, State.FOUND), 1)],
)
def test_the_exit_code(states: tuple[State, ...], code: int) -> None:
    assert exit_code([Check(name="x", state=state, note="") for state in states]) == code
    assert unknown("x", "y").state is State.UNKNOWN and judged("x", "y", ()).state is State.FINE


def test_a_failed_look_is_never_fine_and_a_caveat_is() -> None:
    failed = judged("x", "y", (), partly="502")
    assert (failed.state, failed.note, exit_code([failed])) == (State.UNKNOWN, "502", 2)
    assert exit_code([judged("x", "y", (), caveat="never seen")]) == 0
    finding = doctor_github.judge_repositories((doctor_github.RepositoryFacts(name="a/b", there=False),)).findings
    assert exit_code([judged("x", "y", finding, partly="502")]) == 1


def test_permissions_are_the_fewest_that_serve() -> None:
    names = {one.name: one.level for one in wanted_permissions(AT_REPOSITORIES, least=True)}
    assert names == {"metadata": "read", "actions": "write", "administration": "write"}
    names = {one.name: one.level for one in wanted_permissions(AT_ORGANISATION, least=True)}
    assert names == {"metadata": "read", "actions": "write", "organization_self_hosted_runners": "write"}
    # A bar reads rule suites; where runners are registered at repositories that is contained already.
    with_bar = msgspec.structs.replace(AT_ORGANISATION, bar=(Bar(name="b"),))
    assert {one.name: one.level for one in wanted_permissions(with_bar)}["administration"] == "read"
    both = msgspec.structs.replace(AT_REPOSITORIES, bar=(Bar(name="b"),))
    assert {one.name: one.level for one in wanted_permissions(both)}["administration"] == "write"
    assert wanted_events(Config(github=GitHub(ingest="poll"))) == ()
    assert all(one.reason.endswith(".") for one in PERMISSIONS)


def test_whether_github_answers() -> None:
    facts = doctor_github.AnswerFacts(api_url="https://x", answered=False, said="no route")
    assert ids(doctor_github.judge_answer(facts)) == ["github.unreachable"]
    assert doctor_github.judge_clock(facts).state is State.UNKNOWN
    facts = doctor_github.AnswerFacts(api_url="https://x", answered=True, said="401, Bad credentials")
    assert ids(doctor_github.judge_answer(facts)) == ["github.unauthorised"]
    facts = doctor_github.AnswerFacts(api_url="https://x", answered=True, accepted=None, said="429, rate limit")
    check = doctor_github.judge_answer(facts)
    assert check.state is State.UNKNOWN and "429, rate limit" in check.note
    facts = doctor_github.AnswerFacts(api_url="https://x", answered=True, accepted=True, ahead_s=3.0)
    assert doctor_github.judge_answer(facts).state is State.FINE
    assert doctor_github.judge_clock(facts).state is State.FINE


@pytest.mark.parametrize(("ahead", "severity"), [(-61.0, "warning"), (300.0, "problem"), (-600.0, "problem")])
def test_a_clock_that_is_off(ahead: float, severity: str) -> None:
    facts = doctor_github.AnswerFacts(api_url="x", answered=True, accepted=True, ahead_s=ahead)
    (finding,) = doctor_github.judge_clock(facts).findings
    assert (finding.id, finding.severity) == ("clock.github", severity)
    assert ("behind" if ahead < 0 else "ahead of") in finding.what


def an_app(**changes: Any) -> doctor_github.AccessFacts:
    granted = {one.name: one.level for one in wanted_permissions(AT_REPOSITORIES)}
    one = doctor_github.InstallationFacts(owner="acme", installed=True, permissions=granted)
    return doctor_github.AccessFacts(kind="app", installations=(msgspec.structs.replace(one, **changes),))


def test_what_an_app_was_granted() -> None:
    assert doctor_github.judge_access(AT_REPOSITORIES, an_app()).state is State.FINE
    check = doctor_github.judge_access(AT_REPOSITORIES, an_app(permissions={"metadata": "read", "actions": "read"}))
    assert ids(check).count("permission.missing") == 2  # actions:write, administration
    assert "permission.optional" in ids(check)
    assert ids(doctor_github.judge_access(AT_REPOSITORIES, an_app(installed=False))) == ["app.not_installed"]
    assert ids(doctor_github.judge_access(AT_REPOSITORIES, an_app(suspended=True))) == ["app.suspended"]


def test_what_a_token_may() -> None:
    may = doctor_github.Probe(permission="actions", level="read", where="acme/app", allowed=True)
    not_told = msgspec.structs.replace(may, allowed=None, said="503, later")
    forbidden = msgspec.structs.replace(may, allowed=False, said="403, no")
    classic = doctor_github.AccessFacts(kind="classic token", scopes=("repo",), probes=(may,))
    assert doctor_github.judge_access(AT_REPOSITORIES, classic).state is State.FINE
    assert ids(doctor_github.judge_access(AT_ORGANISATION, classic)) == ["permission.missing"]
    fine_grained = doctor_github.AccessFacts(kind="fine-grained token", probes=(may, forbidden))
    assert ids(doctor_github.judge_access(AT_REPOSITORIES, fine_grained)) == ["permission.missing"]
    nothing = doctor_github.AccessFacts(kind="fine-grained token", probes=(not_told,))
    assert doctor_github.judge_access(AT_REPOSITORIES, nothing).state is State.UNKNOWN
    # What such a token never shows does not make a fleet doubtful; one look that failed does.
    all_may = doctor_github.judge_access(AT_REPOSITORIES, msgspec.structs.replace(fine_grained, probes=(may,)))
    assert all_may.state is State.FINE and all_may.caveat is not None
    some = msgspec.structs.replace(fine_grained, probes=(may, not_told))
    assert doctor_github.judge_access(AT_REPOSITORIES, some).state is State.UNKNOWN
    not_listed = msgspec.structs.replace(classic, not_listed="acme's could not be listed")
    assert doctor_github.judge_access(AT_REPOSITORIES, not_listed).state is State.UNKNOWN


def test_repositories_and_groups() -> None:
    there = doctor_github.RepositoryFacts(name="acme/app", there=True)
    absent = doctor_github.RepositoryFacts(name="acme/ap", there=False)
    hidden = doctor_github.RepositoryFacts(name="acme/x", there=None, said="502")
    assert doctor_github.judge_repositories((there,)).state is State.FINE
    assert ids(doctor_github.judge_repositories((there, absent))) == ["repository.absent"]
    assert doctor_github.judge_repositories((there, hidden)).state is State.UNKNOWN
    check = doctor_github.judge_repositories((absent, hidden))
    assert ids(check) == ["repository.absent"] and check.partly == "acme/x: 502"
    assert doctor_github.judge_repositories((), not_listed="502").state is State.UNKNOWN
    assert doctor_github.judge_repositories(()).state is State.SKIPPED
    groups = doctor_github.GroupFacts(owner="acme", groups=(2,))
    closed = doctor_github.GroupFacts(owner="other", groups=None, said="403")
    # An owner that cannot be listed hides nothing of another's.
    check = doctor_github.judge_groups(AT_ORGANISATION, (closed, groups))
    assert ids(check) == ["group.absent"] and check.partly == "other: 403"
    assert ids(doctor_github.judge_groups(AT_ORGANISATION, (groups,))) == ["group.absent"]
    assert (
        doctor_github.judge_groups(AT_ORGANISATION, (msgspec.structs.replace(groups, groups=None),)).state
        is State.UNKNOWN
    )


HOOK = doctor_hook.HookFacts(
    where="acme/app", url=ADDRESS, events=("workflow_job", "workflow_run", "repository"), secret=True, last_code=202
)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"url": ADDRESS + "/"}, []),
        ({"events": ("*",)}, []),
        ({"active": False}, ["hook.inactive"]),
        ({"events": ("workflow_run", "repository")}, ["hook.events"]),
        ({"content_type": "form"}, ["hook.content_type"]),
        ({"secret": False}, ["hook.no_secret"]),
        ({"secret": None}, []),
        ({"url": "https://old.example.org/webhooks/github"}, ["hook.address"]),
        ({"url": "https://other.example.org/"}, ["hook.absent"]),
        ({"last_code": 502}, ["hook.failing"]),
        ({"events": ()}, ["hook.events"] * 2),
    ],
)
def test_the_webhook(changes: dict[str, Any], found: list[str]) -> None:
    hooks = doctor_hook.HooksFacts(repository="acme/app", hooks=(msgspec.structs.replace(HOOK, **changes),))
    assert ids(doctor_hook.judge_hooks((hooks,), address=ADDRESS)) == found


def test_webhooks_that_are_not_needed_or_not_seen() -> None:
    assert doctor_hook.judge_hooks((), address=None).state is State.SKIPPED
    hidden = doctor_hook.HooksFacts(repository="acme/app", hooks=None, said="403")
    assert doctor_hook.judge_hooks((hidden,), address=ADDRESS).state is State.UNKNOWN
    absent = doctor_hook.HooksFacts(repository="acme/b", hooks=())
    check = doctor_hook.judge_hooks((hidden, absent), address=ADDRESS)
    assert ids(check) == ["hook.absent"] and check.partly is not None
    # The organisation's may be ours; where one sends, or sends elsewhere, that is known.
    beside = doctor_hook.HooksFacts(repository="acme/app", hooks=(), said="the organisation's are hidden")
    assert doctor_hook.judge_hooks((beside,), address=ADDRESS).state is State.UNKNOWN
    ours = msgspec.structs.replace(beside, hooks=(HOOK,))
    assert doctor_hook.judge_hooks((ours,), address=ADDRESS).state is State.FINE
    stray = msgspec.structs.replace(HOOK, url="https://old.example.org/webhooks/github")
    elsewhere = msgspec.structs.replace(beside, hooks=(stray,))
    assert ids(doctor_hook.judge_hooks((elsewhere,), address=ADDRESS)) == ["hook.address"]


def a_try(guid: str, code: int, *, ago: float = 3600, redelivery: bool = False) -> doctor_hook.SentTry:
    at = NOW - timedelta(seconds=ago)
    return doctor_hook.SentTry(guid=guid, at=at, code=code, event="workflow_job", redelivery=redelivery)


def test_the_ledger() -> None:
    tries = (
        a_try("fine", 202),
        a_try("again", 502, ago=7200),
        a_try("again", 202, redelivery=True),
        a_try("refused", 401),
        a_try("failed", 504),
        a_try("failed", 502, ago=1800, redelivery=True),
        a_try("lost", 202),
        a_try("broken", 202),
        # On its way still, and too old to be looked at.
        a_try("young", 202, ago=5),
        a_try("old", 502, ago=90_000),
    )
    ours = {"fine": "applied", "again": "ignored", "broken": "failed"}
    ledger, failed, unseen = doctor_hook.make_ledger(tries, ours, since=NOW - timedelta(days=1), now=NOW)
    assert (ledger.sent, ledger.received, ledger.failed) == (6, 3, 2)
    assert (ledger.requested, ledger.never_seen, ledger.not_understood) == (2, 3, 1)
    check = doctor_hook.judge_ledger(ledger, failed, unseen)
    assert ids(check) == ["delivery.signature", "delivery.failed", "delivery.never_seen", "delivery.not_applied"]
    assert check.note == "6 sent, 3 received, 2 failed, 2 re-requested, 3 never seen"
    assert "answer 502" in check.findings[1].what
    nothing = doctor_hook.make_ledger((), {}, since=NOW - timedelta(days=1), now=NOW)
    assert doctor_hook.judge_ledger(*nothing).state is State.FINE
    assert doctor_hook.judge_ledger(*nothing, partly="the log could not be read").state is State.UNKNOWN
    assert doctor_hook.judge_ledger(*nothing, caveat="a longer log").state is State.FINE


def a_host(**changes: Any) -> HostView:
    slots = tuple(
        SlotView(slot=n, kind="jit", pool="linux", state="idle", intent="open", job=None, runner=None, since=NOW)
        for n in range(2)
    )
    values: dict[str, Any] = {
        "name": "host-a", "intent": "open", "observed": "reporting", "last_seen": NOW, "reason": None,
        "version": "1", "boot_id": "b", "disk": (HostDisk(mount="/", total=100, free=50),), "slots": slots,
    }  # fmt: skip
    return HostView(**{**values, **changes})


def a_fleet(*hosts: HostView, **changes: Any) -> doctor_fleet.FleetFacts:
    values: dict[str, Any] = {"url": "http://x", "answered": True, "ready": True, "version": "1", "hosts": hosts}
    return doctor_fleet.FleetFacts(**{**values, **changes})


def a_pool(slots: int) -> PoolView:
    return PoolView(
        name="linux", labels=("self-hosted",), trust="any", slots=slots, idle=0, starting=0, running=0, waiting=0,
        oldest_queued_at=None,
    )  # fmt: skip


def test_hosts() -> None:
    assert doctor_fleet.judge_hosts(a_fleet(a_host())).state is State.FINE
    assert ids(doctor_fleet.judge_hosts(a_fleet(a_host(observed="silent")))) == ["host.silent"]
    off = a_host(intent="cordoned", reason="its clock is 612 s ahead of the control plane's; set it right")
    assert ids(doctor_fleet.judge_hosts(a_fleet(off))) == ["clock.host"]
    assert ids(doctor_fleet.judge_versions(a_fleet(a_host(version="0")), "1")) == ["version.agent"]
    assert ids(doctor_fleet.judge_versions(a_fleet(a_host()), "2")) == ["version.here"]
    full = a_host(disk=(HostDisk(mount="/", total=100, free=14),))
    assert ids(doctor_fleet.judge_host_disks(a_fleet(full), Disk())) == ["disk.host"]
    assert doctor_fleet.judge_host_disks(a_fleet(a_host(disk=())), Disk()).state is State.SKIPPED
    half = a_fleet(a_host(), a_host(name="host-b", disk=()))
    assert doctor_fleet.judge_host_disks(half, Disk()).partly == "host-b reported no disk"


def test_labels() -> None:
    assert doctor_fleet.judge_labels(a_fleet(a_host(), pools=(a_pool(2),))).state is State.FINE
    assert ids(doctor_fleet.judge_labels(a_fleet(pools=(a_pool(0),)))) == ["pool.no_slots"]
    silent = a_fleet(a_host(observed="silent"), pools=(a_pool(2),))
    assert ids(doctor_fleet.judge_labels(silent)) == ["label.thin"]


@pytest.mark.parametrize(
    "judge",
    [
        doctor_fleet.judge_hosts,
        doctor_fleet.judge_labels,
        lambda facts: doctor_fleet.judge_versions(facts, "1"),
        lambda facts: doctor_fleet.judge_host_disks(facts, Disk()),
    ],
)
def test_a_control_plane_that_does_not_answer_makes_nothing_fine(judge: Any) -> None:
    assert judge(a_fleet(answered=False)).state is State.UNKNOWN
    assert judge(a_fleet(readable=False, said="no token")).state is State.UNKNOWN


def test_the_control_plane() -> None:
    assert ids(doctor_fleet.judge_control_plane(a_fleet(answered=False))) == ["controlplane.unreachable"]
    assert ids(doctor_fleet.judge_control_plane(a_fleet(ready=False))) == ["controlplane.not_ready"]


@pytest.mark.parametrize(("days", "found"), [(15, []), (13, ["certificate.ends"]), (-1, ["certificate.ends"])])
def test_the_certificate(days: int, found: list[str]) -> None:
    check = doctor_machine.judge_certificate("cert.pem", NOW + timedelta(days=days), "", NOW)
    assert ids(check) == found
    assert doctor_machine.judge_certificate("cert.pem", None, "no PEM", NOW).state is State.UNKNOWN
    assert doctor_machine.judge_certificate(None, None, "", NOW).state is State.SKIPPED


def test_secrets_room_and_users() -> None:
    closed = doctor_machine.FileFacts(path="a", mode=0o600)
    opened = doctor_machine.FileFacts(path="b", mode=0o640)
    assert ids(doctor_machine.judge_secrets((closed, opened))) == ["secret.mode"]
    room = doctor_machine.RoomFacts(path="/d", free=14, total=100, inodes_free=50, inodes=100)
    assert [one.severity for one in doctor_machine.judge_room(room, "", Disk()).findings] == ["warning"]
    no_inodes = msgspec.structs.replace(room, free=50, inodes_free=1)
    assert [one.severity for one in doctor_machine.judge_room(no_inodes, "", Disk()).findings] == ["problem"]
    # A file system that counts no inodes has enough.
    assert doctor_machine.judge_room(msgspec.structs.replace(room, free=50, inodes=0), "", Disk()).state is State.FINE
    assert doctor_machine.judge_room(None, "gone", Disk()).state is State.UNKNOWN
    for user, found in (("andon-{slot}", []), ("ci", ["slot.shared_user"]), (None, ["slot.shared_user"])):
        agent = Agent(name="a", slots=(Slots(pool="p", command=("x",), count=2, user=user),))
        assert ids(doctor_machine.judge_slot_users(agent, slots=2)) == found


def test_the_budget() -> None:
    plenty = doctor_budget.QuotaFacts(owner="acme", limit=5000, remaining=4000)
    short = msgspec.structs.replace(plenty, remaining=499, resets_at=NOW)
    untold = doctor_budget.QuotaFacts(owner="acme", limit=None, said="502")
    poll = GitHub(ingest="poll", poll_seconds=20)
    assert doctor_budget.judge_budget(GitHub(), (plenty,), repositories=1).state is State.FINE
    assert ids(doctor_budget.judge_budget(GitHub(), (short,), repositories=1)) == ["budget.low"]
    assert doctor_budget.judge_budget(GitHub(), (untold,), repositories=1).state is State.UNKNOWN
    assert doctor_budget.judge_budget(GitHub(), (plenty, untold), repositories=1).state is State.UNKNOWN
    assert doctor_budget.judge_budget(poll, (plenty,), repositories=0, not_listed="502").state is State.UNKNOWN
    assert doctor_budget.polls_per_hour(poll, 10) == 3600
    assert ids(doctor_budget.judge_budget(poll, (plenty,), repositories=10)) == ["budget.poll"]


@pytest.mark.parametrize(
    ("ends", "severity"),
    [
        (date(2026, 12, 7), None),
        (date(2026, 12, 6), "warning"),
        (date(2026, 11, 22), "problem"),
        (None, None),
    ],
)
def test_runner_versions(ends: date | None, severity: str | None) -> None:
    facts = doctor_runner_version.RunnerVersionFacts(version="2.330.0", runners=("a", "b"), no_jobs_from=ends)
    found = doctor_runner_version.judge_runner_versions((facts,), NOW).findings
    assert [one.severity for one in found] == ([severity] if severity else [])
    # A server that says nothing of any version is no failed look; one that could not be asked is.
    untold = msgspec.structs.replace(facts, no_jobs_from=None, known=False)
    check = doctor_runner_version.judge_runner_versions((untold,), NOW)
    assert (check.state, check.partly) == (State.FINE, None) and check.caveat is not None
    not_asked = msgspec.structs.replace(untold, said="502, away")
    assert doctor_runner_version.judge_runner_versions((not_asked,), NOW).state is State.UNKNOWN
    assert doctor_runner_version.judge_runner_versions((), NOW, partly="502").state is State.UNKNOWN
