"""When a workspace may go: what holds it wins over every age and over every word about its run (R48, R50)."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.model.machine import Rejected
from andon.model.workspace_states import WORKSPACES, WorkspaceState
from andon.model.workspaces import Hold, Holder, JobIdentity, JobProcess, LeaseRecord
from andon.rules.workspace_life import KEPT_WHEN_FAILED, SILENT_AFTER, Seen, looks_needed, next_step

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DAY = 86_400.0
RUNS = ("queued", "waiting", "in_progress", "completed", "unknown")
KERNEL = [holder for holder in Holder if holder is not Holder.RUN]


def record(state: WorkspaceState = WorkspaceState.DEAD, **more: object) -> LeaseRecord:
    made = LeaseRecord(
        id="1-1-build-abc",
        state=state,
        path="/srv/runs/0/1-1-build-abc",
        device=1,
        inode=2,
        slot=0,
        claim="clm_1",
        job=JobIdentity(repository="acme/app", run_id=1, attempt=1, job="build", runner="andon-1"),
        boot_id="boot",
        process=JobProcess(pid=10, start=20, uid=1000, gid=1000),
        made_at=NOW,
        dead_up_s=0.0,
    )
    return msgspec.structs.replace(made, **more)


def seen(one: LeaseRecord, *holders: Holder, run: str = "completed", up_s: float = 1.0, space: bool = False) -> Seen:
    holds = tuple(Hold(by=holder, text=f"held by {holder}") for holder in holders)
    return Seen(record=one, holds=holds, run=run, up_s=up_s, space_needed=space)


def event(what: Seen) -> str | None:
    return next_step(what).event


@pytest.mark.parametrize("holder", KERNEL)
@pytest.mark.parametrize("state", [WorkspaceState.FRESH, WorkspaceState.DRAINING, WorkspaceState.DEAD])
def test_what_the_kernel_shows_wins_over_age_and_run(state: WorkspaceState, holder: Holder) -> None:
    one = record(state, failed=False)
    assert event(seen(one, holder, up_s=100 * DAY, space=True)) is None
    assert next_step(seen(one, holder, up_s=100 * DAY)).reasons == (f"held by {holder}",)


@pytest.mark.parametrize("state", list(WorkspaceState))
def test_a_look_that_failed_moves_nothing(state: WorkspaceState) -> None:
    one = record(state, failed=False)
    assert event(Seen(record=one, holds=None, run="completed", up_s=100 * DAY, space_needed=True)) is None


@pytest.mark.parametrize("run", ["queued", "waiting", "in_progress"])
def test_a_directory_of_a_run_that_goes_on_stays_however_old(run: str) -> None:
    """P11: the daemon's directory belonged to a run that waited for its next job."""
    assert event(seen(record(failed=False), run=run, up_s=100 * DAY, space=True)) is None


def test_a_run_nobody_speaks_of_keeps_its_directory_longer_than_the_longest_job() -> None:
    after = SILENT_AFTER.total_seconds()
    assert event(seen(record(failed=False), run="unknown", up_s=after - 1, space=True)) is None
    assert event(seen(record(failed=False), run="unknown", up_s=after)) == "trashed"


def test_a_run_that_is_over_lets_it_go_at_once_unless_its_job_failed() -> None:
    assert event(seen(record(failed=False))) == "trashed"
    for failed in (True, None):
        kept = KEPT_WHEN_FAILED.total_seconds()
        assert event(seen(record(failed=failed), up_s=kept - 1)) is None
        assert event(seen(record(failed=failed), up_s=kept)) == "trashed"
        assert event(seen(record(failed=failed), up_s=1.0, space=True)) == "trashed"


def test_a_lease_ends_with_the_job_and_with_nothing_else() -> None:
    leased = record(WorkspaceState.LEASED)
    assert event(seen(leased, Holder.PROCESS, up_s=100 * DAY)) is None
    assert event(seen(leased, Holder.UNKNOWN, up_s=100 * DAY)) is None
    assert event(seen(leased, Holder.FILE)) == "job_ended"
    assert event(seen(leased)) == "job_ended"
    heard = record(WorkspaceState.LEASED, ended_up_s=1.0)
    assert event(seen(heard, Holder.PROCESS)) == "job_ended"


def test_one_that_nobody_took_is_given_up_after_its_deadline() -> None:
    fresh = record(WorkspaceState.FRESH)
    assert event(seen(fresh, up_s=599.0)) is None
    assert event(seen(fresh, up_s=600.0)) == "abandoned"


@given(
    state=st.sampled_from(WorkspaceState),
    holders=st.lists(st.sampled_from(Holder), max_size=3),
    run=st.sampled_from(RUNS),
    up_s=st.floats(0, 1e9),
    space=st.booleans(),
    failed=st.sampled_from([None, True, False]),
    ended=st.sampled_from([None, 0.5]),
)
def test_every_step_is_an_edge_and_staying_has_a_reason(
    state: WorkspaceState,
    holders: list[Holder],
    run: str,
    up_s: float,
    space: bool,
    failed: bool | None,
    ended: float | None,
) -> None:
    one = record(state, failed=failed, ended_up_s=ended)
    step = next_step(seen(one, *holders, run=run, up_s=up_s, space=space))
    assert step.reasons and all(step.reasons)
    if step.event is not None:
        assert not isinstance(WORKSPACES.advance(state, step.event), Rejected)
    if step.event == "trashed":
        assert not set(holders) & set(KERNEL) and run in ("completed", "unknown")


def test_running_jobs_are_not_searched_for_at_every_look() -> None:
    records = {
        "runs": record(WorkspaceState.LEASED),
        "gone": record(WorkspaceState.LEASED),
        "told": record(WorkspaceState.LEASED, ended_up_s=1.0),
        "dead": record(WorkspaceState.DEAD),
        "over": record(WorkspaceState.TRASHED),
    }
    wanted = looks_needed(records, frozenset({"gone"}))
    assert wanted == (records["gone"], records["told"], records["dead"])
