"""Four verdicts about the whole fleet, told apart; one cause is one finding (R36)."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.model.host_states import HostObserved, Intent
from andon.model.incident_kinds import KINDS, IncidentCode
from andon.model.incident_states import INCIDENTS, IncidentState
from andon.rules.liveness_fleet import ApiFact, HostFact, Situation, cleared, verdicts
from tests.support.builders import START, at

NOW = START + timedelta(hours=1)
ANSWERS = ApiFact(answered_at=NOW, answering_since=START, failing_since=None)
SILENT = ApiFact(
    answered_at=NOW - timedelta(seconds=60), failing_since=NOW - timedelta(seconds=40), failures=3, unanswered=3
)
FAILS = ApiFact(
    answered_at=NOW - timedelta(seconds=60), failing_since=NOW - timedelta(seconds=40), failures=3, unanswered=0
)


def host(name: str, seen_s: float = 10, *, silent: bool | None = None, **changes: Any) -> HostFact:
    """A host heard `seen_s` seconds ago."""
    quiet = seen_s > 45 if silent is None else silent
    fields: dict[str, Any] = {
        "name": name,
        "observed": HostObserved.SILENT if quiet else HostObserved.REPORTING,
        "intent": Intent.OPEN,
        "last_seen": NOW - timedelta(seconds=seen_s),
        "works": False,
        **changes,
    }
    return HostFact(**fields)


def a_situation(*hosts: HostFact, api: ApiFact = ANSWERS, heard_since: datetime | None = START, **of: Any) -> Situation:
    return Situation(now=NOW, hosts=hosts, api=api, heard_since=heard_since, **of)


def codes(situation: Situation) -> list[str]:
    return [f"{each.code.value} {each.subject_id}" for each in verdicts(situation)]


def test_all_is_well() -> None:
    assert codes(a_situation(host("a"), host("b"))) == []
    assert codes(a_situation()) == []


def test_a_host_is_lost_while_others_report() -> None:
    assert codes(a_situation(host("a"), host("b", 50))) == ["host.silent b"]


def test_a_host_that_fell_silent_just_before_the_others_do_is_not_lost_alone() -> None:
    # All spoke last within the 25 s that a sync may be held: who is marked silent first is chance.
    assert codes(a_situation(host("a", 46), host("b", 44))) == []
    assert codes(a_situation(host("a", 71), host("b", 46))) == ["fleet.silent fleet"]


def test_the_whole_fleet_is_lost_once_and_not_once_a_host() -> None:
    many = [host(f"h{number}", 60) for number in range(20)]
    assert codes(a_situation(*many)) == ["fleet.silent fleet"]
    assert codes(a_situation(host("only", 60))) == ["fleet.silent fleet"]


def test_github_is_down_while_hosts_report() -> None:
    assert codes(a_situation(host("a", 5), api=SILENT)) == ["github.down api"]
    assert codes(a_situation(host("a", 5), api=FAILS)) == ["github.down api"]
    assert codes(a_situation(api=SILENT)) == ["github.down api"], "a fleet that has no host yet"


def test_nobody_is_heard_we_are_cut_off() -> None:
    assert codes(a_situation(host("a", 60), host("b", 70), api=SILENT)) == ["controlplane.asleep fleet"]
    # Before the hosts are silent we cannot know whether it is GitHub or we.
    assert codes(a_situation(host("a", 44), api=SILENT)) == []


def test_github_that_fails_aloud_beside_a_silent_fleet_is_two_causes() -> None:
    assert codes(a_situation(host("a", 60), api=FAILS)) == ["fleet.silent fleet", "github.down api"]


def test_after_we_were_cut_off_hosts_get_their_time() -> None:
    back = ApiFact(answered_at=NOW, answering_since=NOW - timedelta(seconds=20), failing_since=None)
    assert codes(a_situation(host("a", 90), api=back)) == []
    just = NOW - timedelta(seconds=20)
    assert codes(a_situation(host("a", 1), host("b", 90), heard_since=just)) == []
    assert codes(a_situation(host("a", 1), host("b", 90), heard_since=NOW - timedelta(seconds=45))) == ["host.silent b"]


def test_after_we_were_cut_off_github_is_asked_again_before_it_is_called_down() -> None:
    # The last failure is of the time when nobody was heard, or of a call that began then.
    asked = msgspec.structs.replace(SILENT, failed_at=NOW - timedelta(seconds=2))
    assert codes(a_situation(host("a", 1), api=asked, far_since=NOW - timedelta(seconds=15))) == []
    assert codes(a_situation(host("a", 1), api=asked, far_since=NOW - timedelta(seconds=22))) == ["github.down api"]
    beside = host("b", 1, local=True)
    assert codes(a_situation(host("a", 1), beside, api=asked, far_since=NOW - timedelta(seconds=15))) == []
    assert codes(a_situation(beside, api=asked)) == ["github.down api"], "nobody is heard over a network: as before"


def test_we_were_asleep() -> None:
    slept = timedelta(seconds=600)
    (found,) = verdicts(a_situation(host("a"), pause=slept, counted=slept))
    assert found.code is IncidentCode.CONTROL_PLANE_ASLEEP and "stood still for 600 s" in found.title
    (found,) = verdicts(a_situation(host("a"), pause=slept, counted=timedelta(seconds=5)))
    assert "the machine slept, or its clock was set" in found.title
    assert codes(a_situation(host("a"), pause=timedelta(seconds=30), counted=timedelta(seconds=30))) == []


@pytest.mark.parametrize(
    "api",
    [
        ApiFact(answered_at=NOW - timedelta(seconds=60), failing_since=NOW - timedelta(seconds=40), failures=1),
        ApiFact(
            answered_at=NOW - timedelta(seconds=60),
            failing_since=NOW - timedelta(seconds=40),
            failures=2,
            unanswered=1,
        ),
        ApiFact(
            answered_at=NOW - timedelta(seconds=20),
            failing_since=NOW - timedelta(seconds=19),
            failures=9,
            unanswered=9,
        ),
    ],
)
def test_a_few_failures_are_no_outage(api: ApiFact) -> None:
    assert codes(a_situation(host("a", 5), api=api)) == []


@pytest.mark.parametrize("intent", [Intent.CORDONED, Intent.DRAINING])
def test_a_host_that_was_put_aside_may_be_switched_off(intent: Intent) -> None:
    assert codes(a_situation(host("a"), host("b", 60, intent=intent))) == []
    assert codes(a_situation(host("a"), host("b", 60, intent=intent, works=True))) == ["host.silent b"]
    assert codes(a_situation(host("a"), host("b", 60, intent=Intent.QUARANTINED))) == ["host.silent b"]


def test_a_host_that_never_reported_is_not_lost() -> None:
    new = host("b", 60, observed=HostObserved.UNKNOWN, last_seen=None)
    assert codes(a_situation(host("a"), new)) == []


_HOSTS = st.lists(
    st.builds(
        lambda name, seen, intent, works: host(name, seen, intent=intent, works=works),
        st.sampled_from("abcdef"),
        st.integers(0, 400),
        st.sampled_from(Intent),
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda each: each.name,
)
_APIS = st.builds(
    lambda answered, failing, failures, unanswered: ApiFact(
        answered_at=NOW - timedelta(seconds=answered),
        answering_since=None if failing else START,
        failing_since=NOW - timedelta(seconds=answered) if failing else None,
        failures=failures if failing else 0,
        unanswered=min(failures, unanswered) if failing else 0,
    ),
    st.integers(0, 400),
    st.booleans(),
    st.integers(1, 9),
    st.integers(0, 9),
)


@given(_HOSTS, _APIS, st.none() | st.integers(0, 900))
def test_one_cause_is_one_finding_and_what_is_found_is_not_cleared(
    hosts: list[HostFact], api: ApiFact, pause: int | None
) -> None:
    situation = a_situation(*hosts, api=api, pause=None if pause is None else timedelta(seconds=pause))
    found = verdicts(situation)
    keys = [(each.code, each.subject_id) for each in found]
    assert len(keys) == len(set(keys))
    kinds = {each.code for each in found}
    assert not {IncidentCode.FLEET_SILENT, IncidentCode.HOST_SILENT} <= kinds
    if (pause or 0) <= 60 and IncidentCode.CONTROL_PLANE_ASLEEP in kinds:
        assert kinds == {IncidentCode.CONTROL_PLANE_ASLEEP}, "being cut off explains the silence of all"
    for each in found:
        assert cleared(each.code, each.subject_id, situation) is None
    assert sum(each.code is IncidentCode.HOST_SILENT for each in found) <= len(hosts)


def test_an_incident_is_cleared_by_evidence_alone() -> None:
    code = IncidentCode.HOST_SILENT
    assert cleared(code, "b", a_situation(host("a"), host("b", 60))) is None
    assert cleared(code, "b", a_situation(host("a", 60), host("b", 60))) is None, "now nobody is heard"
    assert cleared(code, "b", a_situation(host("b", 1))) == "the host reports again"
    assert cleared(code, "b", a_situation(host("a"))) == "the host was taken away"
    assert cleared(IncidentCode.GITHUB_DOWN, "api", a_situation(api=SILENT)) is None
    unasked = ApiFact(answered_at=None, failing_since=None)
    assert cleared(IncidentCode.GITHUB_DOWN, "api", a_situation(api=unasked)) is None
    assert cleared(IncidentCode.GITHUB_DOWN, "api", a_situation()) is not None
    assert cleared(IncidentCode.FLEET_SILENT, "fleet", a_situation(host("a", 60))) is None
    assert cleared(IncidentCode.FLEET_SILENT, "fleet", a_situation(host("a", 60), host("b", 1))) is not None
    asleep = IncidentCode.CONTROL_PLANE_ASLEEP
    assert cleared(asleep, "fleet", a_situation(host("a", 60), api=SILENT)) is None
    assert cleared(asleep, "fleet", a_situation(host("a", 1))) is not None


def test_every_code_has_a_kind_whose_quiet_time_fits_the_table() -> None:
    assert set(KINDS) == set(IncidentCode)
    assert all(at(0) + kind.quiet <= at(0) + INCIDENTS.limit(IncidentState.EASING) for kind in KINDS.values())


def test_not_asked_yet_is_no_evidence() -> None:
    unasked = ApiFact(answered_at=None, failing_since=None)
    lost = (host("a", 60), host("b", 70))
    assert codes(a_situation(*lost, api=unasked)) == [], "a start while we are cut off looks just so"
    assert codes(a_situation(*lost, api=unasked, may_ask=False)) == ["fleet.silent fleet"]
    old = ApiFact(answered_at=NOW - timedelta(minutes=10), answering_since=START, failing_since=None)
    assert codes(a_situation(*lost, api=old)) == [], "an old answer says nothing of now"


def test_github_is_judged_from_its_first_failure() -> None:
    # The last answer is old, as after a quiet time; the trouble began a moment ago.
    quiet = NOW - timedelta(seconds=100)
    burst = ApiFact(answered_at=quiet, failing_since=NOW - timedelta(seconds=1), failures=9)
    assert codes(a_situation(host("a", 5), api=burst)) == []


def test_one_5xx_does_not_hide_the_silence_after_it() -> None:
    api = ApiFact(answered_at=None, failing_since=NOW - timedelta(seconds=40), failures=6, unanswered=5)
    assert codes(a_situation(host("a", 60), host("b", 70), api=api)) == ["controlplane.asleep fleet"]


def test_a_spare_that_was_put_aside_does_not_split_a_lost_fleet() -> None:
    many = [host(f"h{number}", 60) for number in range(20)]
    spare = host("spare", intent=Intent.CORDONED)
    situation = a_situation(*many, spare)
    assert codes(situation) == ["fleet.silent fleet"]
    assert cleared(IncidentCode.FLEET_SILENT, "fleet", situation) is None


def test_a_host_on_our_own_machine_proves_nothing_of_the_network() -> None:
    own = host("own", local=True)
    assert codes(a_situation(own, host("b", 60), host("c", 60), api=SILENT)) == ["controlplane.asleep fleet"]
    assert codes(a_situation(own, host("b", 60), api=ANSWERS)) == ["host.silent b"]
    assert codes(a_situation(own, api=SILENT)) == ["github.down api"]
    both = a_situation(own, host("other", 60, local=True), api=SILENT)
    assert codes(both) == ["host.silent other", "github.down api"], "a wire that does not leave the machine"
