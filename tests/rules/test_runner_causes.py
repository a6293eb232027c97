"""Why a runner ended: the first row that fits decides, and what no row fits stays unknown (R34)."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.model.claim_states import RECLAIMED, ClaimState
from andon.model.config import Disk
from andon.rules.disk_closing import why_closed
from andon.rules.disk_marks import Room
from andon.rules.runner_causes import CAUSES, UNKNOWN, Whose, cause_of, cause_of_claim
from andon.rules.start_words import cannot_start
from tests.support.builders import a_claim, at

CLOSED = why_closed("/", Room(total=10**12, free=0), Disk())
REFUSED = cannot_start("writing a file", "/slots/0", errno.ENOSPC, "No space left on device")
STAMP = "2026-11-22 10:00:00Z: "
UNSEEN = "andon: nobody saw how this runner ended"
RAN = f"{STAMP}Listening for Jobs\n{STAMP}Running job: test\n{STAMP}Job test completed with result: Succeeded\n"


@pytest.mark.parametrize(
    ("exit", "signal", "tail", "name", "whose"),
    [
        (0, None, RAN, "served", Whose.NOBODY),
        (0, None, f"{STAMP}Runner connect error: no. Retrying until reconnected.\n{RAN}", "served", Whose.NOBODY),
        (0, None, f"{STAMP}Listening for Jobs\n", "ended_idle", Whose.GITHUB),
        (1, None, "An error occurred", "terminated", Whose.OWNER),
        (2, None, "", "retryable", Whose.GITHUB),
        (3, None, "", "updating", Whose.GITHUB),
        (4, None, "", "updating", Whose.GITHUB),
        (5, None, "", "session_conflict", Whose.OURS),
        (6, None, "", "configuration_refreshed", Whose.GITHUB),
        (7, None, "", "version_deprecated", Whose.OWNER),
        (102, None, "", "served", Whose.NOBODY),
        (126, None, "andon: ./run.sh is not there\n", "cannot_start", Whose.OWNER),
        (126, None, f"andon: {CLOSED}\n", "disk_short", Whose.OWNER),
        (126, None, f"andon: {REFUSED}\n", "start_refused", Whose.OWNER),
        (130, None, "", "interrupted", Whose.OWNER),
        (137, None, "", "ended_by_force", Whose.OWNER),
        (139, None, "", "crashed", Whose.GITHUB),
        (None, 9, "", "ended_by_force", Whose.OWNER),
        (None, 15, "", "asked_to_end", Whose.OWNER),
        (None, 11, "", "crashed", Whose.GITHUB),
        (None, None, "", "unseen", Whose.OURS),
        (
            None,
            None,
            f"{UNSEEN}: the host was restarted.\n",
            "host_restarted",
            Whose.OWNER,
        ),
        (
            None,
            None,
            f"{UNSEEN}: its shim was ended before it.\n",
            "shim_ended",
            Whose.OURS,
        ),
        # run.sh turns 1, 5 and unknown codes into 0: what was said weighs more.
        (
            0,
            None,
            "Runner version v2.300.0 is deprecated and cannot receive messages.",
            "version_deprecated",
            Whose.OWNER,
        ),
        (0, None, "A session for this runner already exists.", "session_conflict", Whose.OURS),
        (1, None, "The registration has been deleted from the server", "registration_deleted", Whose.GITHUB),
        (1, None, "your clock may be out of sync with the server", "clock_wrong", Whose.OWNER),
        (1, None, "You are running out of disk space.", "disk_full", Whose.OWNER),
        (0, None, "Operating system is shutting down for computer x", "host_shutdown", Whose.OWNER),
        (0, None, "The runner has received a shutdown signal.", "shutdown_signal", Whose.OWNER),
        (42, None, "something else", "unknown", Whose.UNKNOWN),
        (None, 31, "", "unknown", Whose.UNKNOWN),
    ],
)
def test_named_causes(exit: int | None, signal: int | None, tail: str, name: str, whose: Whose) -> None:
    found = cause_of(exit, signal, tail)
    assert (found.name, found.whose) == (name, whose)


@pytest.mark.parametrize("row", CAUSES, ids=lambda row: row.cause.name)
def test_a_jobs_name_decides_nothing(row: object) -> None:
    for phrase in (phrase for each in CAUSES if each is row for phrase in each.phrases):
        tail = f"{STAMP}Running job: {phrase}\n{STAMP}Job {phrase} completed with result: Failed\n"
        assert cause_of(0, None, tail).name == "served"


@given(st.none() | st.integers(0, 255), st.none() | st.integers(1, 64), st.none() | st.text(max_size=200))
def test_every_end_has_a_cause(exit: int | None, signal: int | None, tail: str | None) -> None:
    found = cause_of(exit, signal, tail)
    assert found.sentence.endswith(".") and (found is UNKNOWN) == (found.name == "unknown")


def test_names_mean_one_thing() -> None:
    assert all(row.cause.sentence.endswith(".") for row in CAUSES)
    whose = {row.cause.name: row.cause.whose for row in CAUSES}
    assert all(whose[row.cause.name] is row.cause.whose for row in CAUSES)


def test_an_end_that_we_ordered_is_ours() -> None:
    assert cause_of(None, 2, "", given_up=True).name == "stopped"
    given_up = a_claim(state=ClaimState.RELEASED, since=at(10), ended_at=at(12), signal=2)
    ended_before = a_claim(state=ClaimState.RELEASED, since=at(12), ended_at=at(10), signal=2)
    reclaimed = a_claim(state=ClaimState.SETTLED, reason=RECLAIMED, since=at(10), ended_at=at(12), signal=9)
    settled = a_claim(state=ClaimState.SETTLED, reason="the job is over", since=at(10), ended_at=at(12), signal=9)
    found = [cause_of_claim(each) for each in (given_up, ended_before, reclaimed, settled, a_claim())]
    assert [each and each.name for each in found] == ["stopped", "interrupted", "stopped", "ended_by_force", None]


@pytest.mark.parametrize("phrase", [phrase for row in CAUSES for phrase in row.phrases if phrase != "Running job:"])
def test_the_rest_of_a_jobs_name_at_a_cut_decides_nothing(phrase: str) -> None:
    # The agent keeps the last 4 KiB, and the name of the job began before that.
    name = f"{phrase} {'x' * 4500}{phrase}"
    printed = f"{STAMP}Running job: {name}\n{STAMP}Listening for Jobs\n"
    assert cause_of(42, None, printed[-4096:]) is UNKNOWN


@pytest.mark.parametrize("row", CAUSES, ids=lambda row: row.cause.name)
@pytest.mark.parametrize("completed", [True, False])
def test_a_jobs_name_of_many_lines_decides_nothing(row: object, completed: bool) -> None:
    for phrase in (phrase for each in CAUSES if each is row for phrase in each.phrases):
        # It plays its own end, too.
        name = f"a\n{STAMP}Job a completed with result: Succeeded\n{STAMP}{phrase}\n{phrase}"
        ends = f"{STAMP}Job {name} completed with result: Failed\n" if completed else ""
        tail = f"{STAMP}Running job: {name}\n{ends}"
        for job in (None, name, "another"):
            assert cause_of(0, None, tail, job=job).name == "served"
            assert cause_of(143, None, tail, job=job).name == "asked_to_end"


def test_what_the_runner_says_of_a_job_that_is_known_counts() -> None:
    tail = f"{STAMP}Running job: e\nOperating system is shutting down for computer x\n"
    assert cause_of(0, None, tail, job="e").name == "host_shutdown"
    assert cause_of(0, None, tail).name == "served", "the rest may be a name"
    own = f"{STAMP}Running job: e\n{UNSEEN}: the host was restarted.\n"
    assert cause_of(None, None, own).name == "host_restarted"
    assert cause_of(0, None, own).name == "served", "an end that was seen is not told by the agent"
