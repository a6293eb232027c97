"""The real tables and the real store under random histories: GitHub's news, agents' reports,
dispatch, mint answers, deadlines and judgements, in any order, late and twice.

Whatever happens: at most one live claim a job and one a slot, what is over stays over, an old
generation changes nothing, and the journal tells every step.
"""

import asyncio
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import text

from andon.model.claim_states import CLAIMS, LIVE, ClaimEvent, ClaimState
from andon.model.config import Owner
from andon.model.job_states import JobStatus
from andon.model.machine import Rejected
from andon.model.wire import SlotState
from andon.rules.dispatch import Policy
from andon.runtime.ids import SortableIds
from andon.sim.virtual_time import VirtualClock
from andon.store import claims, hosts
from andon.store.apply_news import apply_job_news
from andon.store.apply_sync import apply_report
from andon.store.claims import Change, advance
from andon.store.dispatch import dispatch_once
from andon.store.doubt import doubt
from andon.store.jobs import get_job
from andon.store.migrate import migrate
from andon.store.sqlite import SqliteDatabase
from andon.store.transaction import Store
from tests.support.builders import a_config, a_pool, a_report, at, idle, job_news, slot_of, the_end

SLOTS = 3
JOBS = st.integers(1, 4)
CAP = 2


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rng = Random(3)
        self.clock = VirtualClock()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "a.db"
        self.database = SqliteDatabase(path, lambda engine: migrate(engine, "a.db"))
        self.store = Store(self.database, self.clock, SortableIds(self.clock, self.rng))
        self.config = a_config(owner=(Owner(login="acme", max_slots=CAP),))
        self.policy = Policy(pools={"linux": a_pool()}, max_slots={"acme": CAP})
        self.seq = 0
        self.over: dict[str, str] = {}
        self.generations: dict[str, int] = {}
        self.write(lambda tx: hosts.enrol(tx, "host-a", "aht_x"))
        self.report_slots()

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def write(self, work: Any) -> Any:
        return asyncio.run(self.store.write(work))

    def read(self, work: Any) -> Any:
        return asyncio.run(self.store.read(work))

    def all_claims(self) -> list[Any]:
        ids = self.read(lambda c: [row[0] for row in c.execute(text("SELECT id FROM claims ORDER BY id"))])
        return list(self.read(lambda c: claims.get_claims(c, ids)).values())

    def pick(self, data: st.DataObject, *states: ClaimState) -> Any:
        found = sorted((each for each in self.all_claims() if each.state in states), key=lambda each: each.id)
        return data.draw(st.sampled_from(found)) if found else None

    def job_of(self, claim: Any) -> Any:
        return self.read(lambda c: get_job(c, claim.job_id))

    def report_slots(self, ended: tuple[Any, ...] = (), states: dict[int, Any] | None = None) -> None:
        self.seq += 1
        slots = tuple((states or {}).get(number, idle(number)) for number in range(SLOTS))

        def work(tx: Any) -> None:
            host = hosts.get_host(tx.connection, "host-a")
            assert host is not None
            apply_report(tx, host, a_report(slots, seq=self.seq, ended=ended), {"linux": a_pool()})

        self.write(work)

    @rule(job=JOBS, status=st.sampled_from(["queued", "waiting"]), when=st.integers(1, 9))
    def github_says_that_a_job_waits(self, job: int, status: str, when: int) -> None:
        self.write(lambda tx: apply_job_news(tx, job_news(job, status, order_at=at(when)), self.config))

    @rule(job=JOBS, status=st.sampled_from(["in_progress", "completed"]), data=st.data())
    def github_names_a_runner(self, job: int, status: str, data: st.DataObject) -> None:
        """The shuffle: any runner that was minted may have any job, but each only one."""
        runners = [each.runner_name for each in self.all_claims() if each.state is not ClaimState.RESERVED]
        taken = self.read(lambda c: {row[0]: row[1] for row in c.execute(text("SELECT runner_name, id FROM jobs"))})
        mine = [name for name, job_id in taken.items() if job_id == job and name]
        free = [name for name in sorted(runners) if name not in taken]
        name = mine[0] if mine else data.draw(st.sampled_from([*free, "foreign", None]))
        if status == "in_progress" and name is None:
            name = "foreign"
        self.write(lambda tx: apply_job_news(tx, job_news(job, status, runner_name=name), self.config))

    @rule()
    def dispatch(self) -> None:
        self.write(lambda tx: dispatch_once(tx, self.policy, fleet="f", mode="act"))

    @rule(data=st.data())
    def a_mint_is_answered(self, data: st.DataObject) -> None:
        claim = self.pick(data, ClaimState.RESERVED)
        if claim is not None:

            def work(tx: Any) -> None:
                moved = advance(tx, claim, Change(event=ClaimEvent.MINTED, actor="t", reason="t", deadline=at(60)))
                if not isinstance(moved, Rejected):
                    claims.keep_jit_config(tx, claim.id, "SECRET")

            self.write(work)

    @rule(data=st.data(), state=st.sampled_from([SlotState.STARTING, SlotState.LISTENING, SlotState.RUNNING]))
    def an_agent_reports_a_runner(self, data: st.DataObject, state: SlotState) -> None:
        claim = self.pick(data, *ClaimState)
        if claim is not None:
            self.report_slots(states={claim.slot: slot_of(claim, state)})

    @rule(data=st.data())
    def a_runner_ends(self, data: st.DataObject) -> None:
        claim = self.pick(data, *ClaimState)
        if claim is not None:
            self.report_slots(ended=(the_end(claim),))

    @rule(data=st.data())
    def a_deadline_passes(self, data: st.DataObject) -> None:
        claim = self.pick(data, ClaimState.MINTED, ClaimState.LAUNCHED, ClaimState.REGISTERED)
        if claim is not None:
            self.write(lambda tx: doubt(tx, claim, actor="t", reason="too long"))

    @rule(data=st.data(), event=st.sampled_from([ClaimEvent.GIVEN_UP, ClaimEvent.KEPT]))
    def a_doubt_is_judged(self, data: st.DataObject, event: ClaimEvent) -> None:
        claim = self.pick(data, ClaimState.ORPHANED)
        if claim is not None and (event is ClaimEvent.GIVEN_UP or self.job_of(claim).status is JobStatus.QUEUED):
            self.write(lambda tx: advance(tx, claim, Change(event=event, actor="t", reason="t")))

    @precondition(lambda self: self.all_claims())
    @rule(data=st.data(), event=st.sampled_from(ClaimEvent))
    def an_order_of_an_old_generation_comes_late(self, data: st.DataObject, event: ClaimEvent) -> None:
        claim = data.draw(st.sampled_from(self.all_claims()))
        stale = msgspec.structs.replace(claim, generation=claim.generation - 1)
        outcome = self.write(lambda tx: advance(tx, stale, Change(event=event, actor="t", reason="late")))
        assert isinstance(outcome, Rejected)

    @rule(seconds=st.integers(1, 100))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def nothing_is_doubled(self) -> None:
        live = [claim for claim in self.all_claims() if claim.state in LIVE]
        jobs = [claim.job_id for claim in live]
        assert None not in jobs
        assert len(set(jobs)) == len(jobs)
        slots = [(claim.host, claim.slot) for claim in live]
        assert len(set(slots)) == len(slots)
        assert len(live) <= CAP, "a hard cap is never exceeded (R18)"

    @invariant()
    def who_waits_for_a_job_stands_for_one_that_waits(self) -> None:
        """Or it would hold its slot until a deadline, minutes away."""
        waits = (ClaimState.RESERVED, ClaimState.MINTED, ClaimState.LAUNCHED, ClaimState.REGISTERED)
        for claim in self.all_claims():
            if claim.state in waits:
                assert self.job_of(claim).status is JobStatus.QUEUED

    @invariant()
    def what_is_over_stays_over_and_generations_only_grow(self) -> None:
        for claim in self.all_claims():
            if claim.id in self.over:
                assert claim.state.value == self.over[claim.id]
            if claim.state in CLAIMS.terminal:
                self.over[claim.id] = claim.state.value
            assert claim.generation >= self.generations.get(claim.id, 1)
            self.generations[claim.id] = claim.generation

    @invariant()
    def the_journal_tells_every_step(self) -> None:
        rows = self.read(
            lambda c: c.execute(
                text(
                    "SELECT DISTINCT subject_id, from_state, to_state, at, generation, seq FROM journal "
                    "WHERE subject_kind = 'claim' AND kind <> 'claim.shuffled' ORDER BY seq"
                )
            ).all()
        )
        state: dict[str, str | None] = {}
        for row in rows:
            assert row.from_state == state.get(row.subject_id)
            state[row.subject_id] = row.to_state
        assert state == {claim.id: claim.state.value for claim in self.all_claims()}

    @invariant()
    def a_jit_config_is_kept_only_as_long_as_it_is_needed(self) -> None:
        kept = self.read(lambda c: [row[0] for row in c.execute(text("SELECT claim_id FROM jit_configs"))])
        needed = {each.id for each in self.all_claims() if each.state in (ClaimState.MINTED, ClaimState.LAUNCHED)}
        assert set(kept) <= needed


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=min(settings().max_examples // 2, 400), stateful_step_count=40, deadline=None
)
