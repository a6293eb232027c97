"""The keeper against a kernel, records and directories that the test moves: what may go, goes, and nothing else."""

import asyncio
from collections.abc import Callable, Container, Coroutine, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from andon.agent.workspaces.keeper import AT_MOST, MEASURED_WITHIN_S, Keeper
from andon.agent.workspaces.parts import CannotBegin, Found, Made, ToGo
from andon.model.rails import RailMode
from andon.model.wire import JobWord, SyncAnswer
from andon.model.workspace_states import WorkspaceState
from andon.model.workspaces import Hold, Holder, JobIdentity, JobProcess, LeaseRecord
from andon.runtime.logging import logger
from andon.runtime.loop import Nudge
from andon.sim.virtual_time import VirtualClock

T = TypeVar("T")
DAY = 86_400.0


class Records:
    """As tmpfs keeps them over an agent's end; `full` refuses what needs room."""

    def __init__(self) -> None:
        self.kept: dict[str, LeaseRecord] = {}
        self.full = False

    def records(self) -> tuple[LeaseRecord, ...]:
        return tuple(self.kept.values())

    def take(self, record: LeaseRecord) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        assert record.id not in self.kept
        self.kept[record.id] = record

    def update(self, record: LeaseRecord) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        assert record.id in self.kept
        self.kept[record.id] = record


class Places:
    """Directories by name; a foreign lock may forbid taking one away."""

    def __init__(self) -> None:
        self.there: dict[str, Path] = {}
        self.trashed: list[str] = []
        self.locked: set[str] = set()
        self.space = False
        self.unmeasured: set[str] = set()
        self.asked = 0

    def make(self, slot: int, claim: str | None, name: str, process: JobProcess) -> Made:
        assert name not in self.there
        self.there[name] = Path(f"/srv/runs/{slot}/{name}")
        return Made(path=self.there[name], device=1, inode=len(self.there) + len(self.trashed))

    def found(self, known: Container[str]) -> tuple[Found, ...]:
        return tuple(
            Found(name=name, slot=0, made=Made(path=path, device=1, inode=9))
            for name, path in self.there.items()
            if name not in known
        )

    def forget_note(self, name: str) -> None: ...

    def wanted(self, over: tuple[LeaseRecord, ...]) -> frozenset[str]:
        return frozenset(one.id for one in over) if self.space else frozenset()

    def size_of(self, record: LeaseRecord) -> int | None:
        return None if self.is_unmeasured(record) else 512

    def is_unmeasured(self, record: LeaseRecord) -> bool:
        return record.id in self.unmeasured

    def measure_soon(self) -> None:
        self.asked += 1


class Remover:
    def __init__(self, records: Records, places: Places) -> None:
        self._records, self._places = records, places
        self.by: list[tuple[str, str]] = []
        self.at_once: list[int] = []
        """How many each call was about."""

    async def take_away(self, going: tuple[ToGo, ...]) -> Mapping[str, Hold | None]:
        self.at_once.append(len(going))
        return {one.record.id: self._take(one) for one in going}

    def _take(self, one: ToGo) -> Hold | None:
        self.by.append((one.record.id, one.actor))
        if one.record.id in self._places.locked:
            return Hold(by=Holder.LOCK, text="another program holds its lock")
        del self._places.there[one.record.id], self._records.kept[one.record.id]
        self._places.trashed.append(one.record.id)
        return None


class Kernel:
    """Processes by pid, and what else holds a workspace; `blind` looks fail."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.up = 100.0
        self.alive: set[int] = set()
        self.more: dict[str, Holder] = {}
        self.blind = False
        self.watched: frozenset[str] = frozenset()

    def up_s(self) -> float:
        return self.up

    def watch(self) -> None:
        self.watched = frozenset(self._records.kept)

    def gone(self) -> frozenset[str]:
        return frozenset(
            name
            for name, record in self._records.kept.items()
            if record.process is not None and record.process.pid not in self.alive
        )

    async def holds(self, records: tuple[LeaseRecord, ...]) -> Mapping[str, tuple[Hold, ...]]:
        return {} if self.blind else {record.id: self.of(record) for record in records}

    def of(self, record: LeaseRecord) -> tuple[Hold, ...]:
        lives = record.process is not None and record.process.pid in self.alive
        holders = ([Holder.PROCESS] if lives else []) + ([self.more[record.id]] if record.id in self.more else [])
        return tuple(Hold(by=holder, text=f"held by {holder}") for holder in holders)


class Stage:
    """A host whose agent may end at any time; everything else outlives it."""

    def __init__(self) -> None:
        self.records, self.places = Records(), Places()
        self.kernel = Kernel(self.records)
        self.clock = VirtualClock()
        self.changed = Nudge()
        self.made = 0
        self.guard: RailMode = "act"
        self.guard_says: Callable[[], RailMode] = lambda: self.guard
        self.remover = Remover(self.records, self.places)
        self.keeper = self.started()

    def started(self) -> Keeper:
        return Keeper(
            self.records,
            self.places,
            self.kernel,
            self.remover,
            self.places,
            boot_id="boot",
            nonce=self._nonce,
            guard=lambda: self.guard_says(),
            changed=self.changed,
            clock=self.clock,
            log=logger("agent"),
        )

    def _nonce(self) -> str:
        self.made += 1
        return f"{self.made:010}"

    def begin(self, run: int, pid: int, key: str = "build") -> LeaseRecord:
        self.kernel.alive.add(pid)
        return wait(self.keeper.begin(a_job(run, key), a_process(pid), 0, "clm_1"))

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            wait(self.keeper.look())

    def hear(self, runs: dict[str, str], jobs: dict[str, str | None]) -> None:
        words = {name: JobWord(id=1, conclusion=conclusion) for name, conclusion in jobs.items()}
        self.keeper.hear(SyncAnswer(ack=1, runs=runs, jobs=words))

    def state(self, record: LeaseRecord) -> WorkspaceState | None:
        kept = self.records.kept.get(record.id)
        return kept.state if kept else None


def wait(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def a_job(run: int, key: str = "build") -> JobIdentity:
    return JobIdentity(repository="acme/app", run_id=run, attempt=1, job=key, runner="andon-1")


def a_process(pid: int) -> JobProcess:
    return JobProcess(pid=pid, start=pid * 10, uid=1000, gid=1000)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_two_legs_of_one_matrix_get_two_directories(stage: Stage) -> None:
    first, second = stage.begin(7, 1), stage.begin(7, 2)
    assert first.path != second.path and first.id != second.id
    assert stage.begin(7, 1) == first, "a hook that asks again is told the same"


def test_a_process_has_one_workspace_in_its_life(stage: Stage) -> None:
    stage.begin(7, 1)
    with pytest.raises(CannotBegin, match="had its workspace"):
        stage.begin(8, 1)


def test_the_end_of_a_jobs_process_is_watched_for_from_its_first_moment(stage: Stage) -> None:
    """The next look may be 15 s away, and many a job is over before."""
    one = stage.begin(7, 1)
    assert stage.kernel.watched == {one.id}


def test_from_the_job_to_the_trash(stage: Stage) -> None:
    one = stage.begin(7, 1)
    stage.look()
    assert stage.state(one) is WorkspaceState.LEASED and stage.keeper.written_to
    stage.kernel.alive.clear()
    stage.kernel.more[one.id] = Holder.MOUNT
    stage.look()
    assert stage.state(one) is WorkspaceState.DRAINING and stage.keeper.written_to
    assert stage.keeper.reports()[0].held_by == ("held by mount",)
    del stage.kernel.more[one.id]
    stage.look()
    assert stage.state(one) is WorkspaceState.DEAD and one.id in stage.places.there
    assert not stage.keeper.written_to
    stage.hear({"7": "in_progress"}, {one.id: "success"})
    stage.look()
    assert stage.state(one) is WorkspaceState.DEAD, "its run waits for another job (P11)"
    stage.hear({"7": "completed"}, {})
    stage.look()
    assert stage.state(one) is None and stage.places.trashed == [one.id] and stage.keeper.reports() == ()


def test_a_failed_job_leaves_its_directory_for_a_day_or_until_space_is_needed(stage: Stage) -> None:
    one, other = stage.begin(7, 1), stage.begin(7, 2)
    stage.kernel.alive.clear()
    stage.hear({"7": "completed"}, {one.id: "failure", other.id: "timed_out"})
    stage.look(2)
    assert stage.state(one) is WorkspaceState.DEAD
    assert "evidence" in stage.keeper.reports()[0].held_by[0]
    stage.kernel.up += DAY - 1
    stage.look()
    assert stage.state(one) is stage.state(other) is WorkspaceState.DEAD
    stage.places.space = True
    stage.look()
    assert stage.places.trashed == [one.id, other.id]


def test_it_is_measured_before_it_goes_but_not_waited_for_for_ever(stage: Stage) -> None:
    """What a kind of job writes is learnt from this (R51)."""
    first, second = stage.begin(7, 1), stage.begin(7, 2, "test")
    stage.places.unmeasured = {first.id, second.id}
    stage.kernel.alive.clear()
    stage.hear({"7": "completed"}, {first.id: "success", second.id: "success"})
    stage.look(3)
    assert stage.state(first) is WorkspaceState.DEAD and stage.places.asked > 0
    assert "measured first" in stage.keeper.reports()[0].held_by[0]
    stage.places.unmeasured = {second.id}
    stage.look()
    assert stage.state(first) is None and stage.state(second) is WorkspaceState.DEAD
    stage.kernel.up += MEASURED_WITHIN_S
    stage.look()
    assert stage.state(second) is None


def test_where_room_is_needed_nothing_waits_for_being_measured(stage: Stage) -> None:
    one = stage.begin(7, 1)
    stage.places.unmeasured, stage.places.space = {one.id}, True
    stage.kernel.alive.clear()
    stage.hear({"7": "completed"}, {one.id: "failure"})
    stage.look(3)
    assert stage.state(one) is None


@pytest.mark.parametrize("days", [400, -400])
def test_a_clock_that_jumps_neither_shortens_nor_prolongs_what_is_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Ages are counted since boot: neither time of day nor another agent changes them."""
    one = stage.begin(7, 1)
    stage.kernel.alive.clear()
    stage.hear({"7": "completed"}, {one.id: "failure"})
    stage.look(2)
    shown = stage.clock.now() + timedelta(days=days)
    monkeypatch.setattr(stage.clock, "now", lambda: shown)
    stage.keeper = stage.started()
    stage.hear({"7": "completed"}, {})
    stage.kernel.up += DAY - 1
    stage.look(2)
    assert stage.state(one) is WorkspaceState.DEAD
    stage.kernel.up += 1
    stage.look()
    assert stage.state(one) is None


def test_what_was_heard_of_a_job_survives_the_agent_and_what_was_heard_of_a_run_is_asked_again(stage: Stage) -> None:
    one = stage.begin(7, 1)
    stage.kernel.alive.clear()
    stage.hear({"7": "completed"}, {one.id: "success"})
    stage.keeper = stage.started()
    stage.look(3)
    assert stage.state(one) is WorkspaceState.DEAD, "this agent has not heard that the run is over"
    stage.hear({"7": "completed"}, {})
    stage.look()
    assert stage.state(one) is None


def test_a_lock_of_another_program_keeps_it(stage: Stage) -> None:
    one = stage.begin(7, 1)
    stage.kernel.alive.clear()
    stage.places.locked.add(one.id)
    stage.hear({"7": "completed"}, {one.id: "success"})
    stage.look(3)
    assert stage.state(one) is WorkspaceState.DEAD
    assert stage.keeper.reports()[0].held_by == ("another program holds its lock",)


def test_one_look_takes_few_away_and_says_so(stage: Stage) -> None:
    made = [stage.begin(7, pid) for pid in range(1, AT_MOST + 6)]
    stage.kernel.alive.clear()
    stage.hear({"7": "completed"}, {one.id: "success" for one in made})
    stage.look()
    assert len(stage.places.trashed) == AT_MOST
    assert {report.held_by for report in stage.keeper.reports()} == {
        (f"{AT_MOST} others went in this look; it goes in the next",)
    }
    stage.look()
    assert len(stage.places.trashed) == len(made)


def test_all_that_go_in_one_look_go_together(stage: Stage) -> None:
    made = [stage.begin(7, pid) for pid in range(1, 8)]
    stage.kernel.alive.clear()
    stage.hear({"7": "completed"}, {one.id: "success" for one in made})
    stage.look()
    assert stage.remover.at_once == [7], "the kernel is asked once for all of them"


def test_what_stays_takes_nobodys_place(stage: Stage) -> None:
    made = [stage.begin(7, pid) for pid in range(1, AT_MOST + 6)]
    stage.kernel.alive.clear()
    stage.places.locked |= {one.id for one in made[:3]}
    stage.hear({"7": "completed"}, {one.id: "success" for one in made})
    stage.look()
    assert stage.remover.at_once == [AT_MOST, 3] and len(stage.places.trashed) == AT_MOST


def test_a_guard_that_is_switched_off_while_it_rests_takes_nothing(stage: Stage) -> None:
    one = stage.begin(7, 1)
    stage.kernel.alive.clear()
    stage.hear({"7": "completed"}, {one.id: "success"})
    said: list[RailMode] = ["act"]
    stage.guard_says = lambda: said.pop() if said else "off"
    stage.look()
    assert said == [] and stage.places.trashed == []
    assert "switched to off" in stage.keeper.reports()[0].held_by[0]


def test_a_full_tmpfs_gives_no_workspace_and_one_sentence(stage: Stage) -> None:
    stage.records.full = True
    with pytest.raises(CannotBegin, match="No space left"):
        stage.begin(7, 1)


def test_a_look_that_failed_moves_nothing(stage: Stage) -> None:
    one = stage.begin(7, 1)
    stage.kernel.alive.clear()
    stage.kernel.more[one.id] = Holder.MOUNT
    stage.hear({"7": "completed"}, {one.id: "success"})
    stage.look()
    stage.kernel.blind = True
    stage.look(3)
    assert stage.state(one) is WorkspaceState.DRAINING
    assert stage.keeper.reports()[0].held_by == ("who uses it could not be told at the last look",)


def test_what_cannot_be_written_down_does_not_happen(stage: Stage) -> None:
    one = stage.begin(7, 1)
    stage.kernel.alive.clear()
    stage.hear({"7": "completed"}, {one.id: "success"})
    stage.records.full = True
    stage.look(3)
    assert stage.state(one) is WorkspaceState.LEASED and one.id in stage.places.there


def test_after_a_reboot_the_directories_are_leased_again_until_their_runs_are_over(stage: Stage) -> None:
    one = stage.begin(7, 1)
    stage.kernel.alive.clear()
    stage.records.kept.clear()
    stage.keeper = stage.started()
    stage.hear({"7": "in_progress"}, {})
    stage.look(2)
    again = stage.records.kept[one.id]
    assert again.state is WorkspaceState.DEAD and (again.job.run_id, again.job.attempt) == (7, 1)
    stage.hear({"7": "completed"}, {one.id: "success"})
    stage.look()
    assert stage.places.trashed == [one.id]


def test_a_directory_whose_lease_could_not_be_written_is_found(stage: Stage) -> None:
    stage.records.full = True
    with pytest.raises(CannotBegin):
        stage.begin(7, 1)
    stage.kernel.alive.clear()
    stage.records.full = False
    stage.hear({"7": "completed"}, {})
    stage.look()
    assert [record.state for record in stage.records.kept.values()] == [WorkspaceState.DEAD]


@pytest.mark.parametrize("mode", ["observe", "off"])
def test_a_guard_that_does_not_act_takes_nothing_away_and_says_so(stage: Stage, mode: RailMode) -> None:
    one = stage.begin(7, 1)
    stage.kernel.alive.clear()
    stage.hear({"7": "completed"}, {one.id: "success"})
    stage.guard = mode
    stage.look(3)
    assert stage.state(one) is WorkspaceState.DEAD and one.id in stage.places.there
    assert f"the guard is switched to {mode}" in stage.keeper.reports()[0].held_by[0]
    stage.guard = "act"
    stage.look()
    assert stage.places.trashed == [one.id]


class AnyOrder(RuleBasedStateMachine):
    """Jobs, ends, restarts, blind looks and answers in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.begun: dict[str, LeaseRecord] = {}
        self.runs: dict[int, str] = {}
        self.told: dict[int, str] = {}
        self.pid = 0
        self.unleased: set[str] = set()
        """Directories whose lease could not be written: found later."""

    @rule(run=st.integers(1, 3))
    def a_job_begins(self, run: int) -> None:
        if self.runs.get(run) == "completed":
            return
        self.pid += 1
        self.runs[run] = "in_progress"
        try:
            record = self.stage.begin(run, self.pid)
        except CannotBegin:
            assert self.stage.records.full
            self.stage.kernel.alive.discard(self.pid)
            self.unleased.add(next(reversed(self.stage.places.there)))
            return
        assert record.id not in self.begun
        self.begun[record.id] = record

    @precondition(lambda self: self.begun)
    @rule(data=st.data(), holder=st.sampled_from([None, Holder.MOUNT, Holder.FILE, Holder.CGROUP]))
    def a_process_ends(self, data: st.DataObject, holder: Holder | None) -> None:
        one = self.begun[data.draw(st.sampled_from(sorted(self.begun)))]
        assert one.process is not None
        if holder is not None and one.process.pid in self.stage.kernel.alive:
            self.stage.kernel.more[one.id] = holder
        self.stage.kernel.alive.discard(one.process.pid)

    @precondition(lambda self: self.begun)
    @rule(data=st.data())
    def a_completed_hook_is_called(self, data: st.DataObject) -> None:
        one = self.begun[data.draw(st.sampled_from(sorted(self.begun)))]
        assert one.process is not None
        if one.process.pid in self.stage.kernel.alive and not self.stage.records.full:
            self.stage.keeper.end(one.process)

    @rule()
    def leftovers_end(self) -> None:
        self.stage.kernel.more.clear()

    @rule(run=st.integers(1, 3), state=st.sampled_from(["in_progress", "completed", "queued"]))
    def github_says(self, run: int, state: str) -> None:
        pids = [one.process.pid for one in self.begun.values() if one.process and one.job.run_id == run]
        if state == "completed" and set(pids) & self.stage.kernel.alive:
            return
        if self.runs.get(run) != "completed":
            self.runs[run] = state

    @rule()
    def the_control_plane_answers(self) -> None:
        words = {name: "success" if one.job.run_id != 2 else "failure" for name, one in self.begun.items()}
        over = {name: word for name, word in words.items() if self.runs[self.begun[name].job.run_id] == "completed"}
        self.stage.hear({str(run): state for run, state in self.runs.items()}, dict(over))
        self.told = dict(self.runs)

    @rule()
    def a_look(self) -> None:
        self.stage.look()

    @rule(full=st.booleans(), blind=st.booleans())
    def the_machine_is_sick(self, full: bool, blind: bool) -> None:
        self.stage.records.full, self.stage.kernel.blind = full, blind

    @rule()
    def the_agent_starts_anew(self) -> None:
        self.stage.keeper = self.stage.started()

    @rule(seconds=st.floats(0, 3 * DAY))
    def time_passes(self, seconds: float) -> None:
        self.stage.kernel.up += seconds

    @invariant()
    def nothing_in_use_was_taken_away(self) -> None:
        for name in set(self.stage.places.trashed) - self.unleased:
            one = self.begun[name]
            assert not self.stage.kernel.of(one)
            assert self.told.get(one.job.run_id) == "completed" or self.stage.kernel.up - one.made_up_s > 5 * DAY

    def teardown(self) -> None:
        stage = self.stage
        stage.records.full = stage.kernel.blind = False
        stage.kernel.alive.clear()
        stage.kernel.more.clear()
        self.runs = dict.fromkeys(self.runs, "completed")
        self.the_control_plane_answers()
        stage.look(2)
        stage.kernel.up += DAY + 1
        stage.look(2)
        assert stage.records.kept == {}, "none is kept for ever"
        assert sorted(stage.places.trashed) == sorted({*self.begun, *self.unleased})


def test_any_order_of_things(count: Any) -> None:
    run_state_machine_as_test(
        AnyOrder, settings=settings(max_examples=count(500), stateful_step_count=40, deadline=None)
    )
