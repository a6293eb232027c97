"""Asks GitHub about many claims in doubt at once; each act takes the answer that is for its claim (R10, R27).

The first act of a step asks for all suspects that are due: jobs' states in one query or one list for each
run, and runners in one list for each place where that is cheaper. With no suspect nothing is asked. An answer
is used once, and soon: the next look asks anew. A question that failed has failed for all who shared it.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from andon.github.asking import PAGE, Listed
from andon.github.call import Priority
from andon.github.client import Answered
from andon.github.outcomes import Failed, FailureClass
from andon.github.parsing import job_status
from andon.github.payloads import JobObject
from andon.github.runner_payloads import RunnerObject
from andon.github.scope import Scope
from andon.loops.fleet import Fleet
from andon.model.nouns import Claim
from andon.rules.lookups import FRESH_S, LONGEST_S, MOST, RunKey, Suspect, lists_pay, next_tick, questions, tick
from andon.store.suspects import due_suspects

Answer = Answered | Failed | None


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that its claim has not taken yet. `at`: when it was asked for (monotonic)."""

    answer: Answer
    at: float


class _Place:
    """Where runners are registered: who of the suspects there has not been judged, and the list read last."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.open: set[str] = set()
        """Suspects of the last steps that have not asked for their runner."""
        self.pages = 1
        self.listed: dict[str, RunnerObject] = {}
        self.listed_for: set[str] = set()
        self.listed_at = float("-inf")


class Lookups:
    """What acts ask instead of GitHub."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._turn = asyncio.Lock()
        self._kept: dict[str, _Kept] = {}
        self._places: dict[Scope, _Place] = {}
        self._looked: dict[str, float] = {}
        """When each was looked at last, lately (monotonic)."""
        self._tick = 0
        self._left = MOST

    async def job(self, claim: Claim) -> Answer:
        """What GitHub says of the claim's job; None when it has none. An answer without jobs: it is still in the
        state that we believe, and has no runner. Failed with a time when this step is full."""
        async with self._turn:
            self._kept = {each: kept for each, kept in self._kept.items() if self._is_fresh(kept.at)}
            if claim.id not in self._kept:
                full = await self._ask_for_step(claim)
                if full is not None:
                    return full
            return self._kept.pop(claim.id).answer

    async def runner(self, claim: Claim) -> RunnerObject | Failed | None:
        """The claim's registration; None only when a whole answer lacks it."""
        scope = self._fleet.scope(claim.owner, claim.repository)
        place = self._places.setdefault(scope, _Place())
        async with place.turn:
            if claim.id not in place.listed_for or not self._is_fresh(place.listed_at):
                wanted = place.open | {claim.id}
                if lists_pay(len(wanted), place.pages):
                    await self._list(scope, place, wanted)
            place.open.discard(claim.id)
            if claim.id in place.listed_for:
                place.listed_for.discard(claim.id)
                return place.listed.get(claim.runner_name)
        # Unconditionally and by name: where few are asked about, or the list did not come whole.
        return await self._fleet.github.find_runner(scope, claim.runner_name)

    def _is_fresh(self, at: float) -> bool:
        return self._fleet.clock.monotonic() - at <= FRESH_S

    async def _ask_for_step(self, claim: Claim) -> Failed | None:
        """Asks for those who are due and were looked at longest ago; a Failed when this claim is none of them."""
        now, at = self._fleet.clock.now(), self._fleet.clock.monotonic()
        if tick(now) != self._tick:
            self._tick, self._left = tick(now), MOST
            self._looked = {each: then for each, then in self._looked.items() if at - then <= 2 * LONGEST_S}
        if self._left > 0:
            due = await self._fleet.store.read(
                lambda connection: due_suspects(connection, now, 10 * MOST, first=claim.id)
            )
            due = [each for each in due if each.claim.id not in self._kept]
            if all(each.claim.id != claim.id for each in due):
                # Its act is performed outside the outbox.
                due.insert(0, Suspect(claim=claim, run=None, status=None))
            due.sort(key=lambda each: self._looked.get(each.claim.id, float("-inf")))
            await self._look_at(due[: self._left], at)
        if claim.id in self._kept:
            return None
        return Failed(
            kind=FailureClass.RATE_LIMITED,
            status=None,
            message=f"{MOST} claims in doubt were looked at in this step: the next one goes on",
            until=next_tick(now),
            local=True,
        )

    async def _look_at(self, due: Sequence[Suspect], at: float) -> None:
        self._left -= len(due)
        for place in self._places.values():
            place.open.clear()
        for each in due:
            self._looked[each.claim.id] = at
            scope = self._fleet.scope(each.claim.owner, each.claim.repository)
            self._places.setdefault(scope, _Place()).open.add(each.claim.id)
        answers = await self._ask(due)
        for each in due:
            self._kept[each.claim.id] = _Kept(answer=answers.get(each.claim.id), at=at)
        if len(due) > 1:
            self._fleet.log.info("claims.looked_up", claims=len(due))

    async def _ask(self, suspects: Sequence[Suspect]) -> dict[str, Answer]:
        asked = questions(suspects, self._fleet.check_runs)
        told = await asyncio.gather(
            *(self._states(owner, of_owner) for owner, of_owner in asked.states.items()),
            *(self._list_of_run(run, of_run) for run, of_run in asked.lists.items()),
            *(self._single(each) for each in asked.single),
        )
        return {claim_id: answer for each in told for claim_id, answer in each.items()}

    async def _states(self, owner: str, suspects: Sequence[Suspect]) -> dict[str, Answer]:
        """Jobs that are as we believe them are answered by that; the others need to be read whole."""
        ids = {each.claim.id: self._fleet.check_runs.get(each.claim.job_id or 0, "") for each in suspects}
        got = await self._fleet.github.check_states(owner, tuple(ids.values()))
        found: dict[str, Answer] = {}
        if not isinstance(got, Failed):
            for each in suspects:
                state = got.known.get(ids[each.claim.id])
                if state is not None and state.id == each.claim.job_id and job_status(state.status) is each.status:
                    found[each.claim.id] = Answered(at=got.at)
        rest = questions([each for each in suspects if each.claim.id not in found], {})
        told = await asyncio.gather(
            *(self._list_of_run(run, of_run) for run, of_run in rest.lists.items()),
            *(self._single(each) for each in rest.single),
        )
        return found | {claim_id: answer for each in told for claim_id, answer in each.items()}

    async def _list_of_run(self, run: RunKey, suspects: Sequence[Suspect]) -> dict[str, Answer]:
        # Unconditionally: what the sweep has been told to be as it was must be what it has written down.
        got = await self._fleet.github.jobs_of_run(*run, priority=Priority.LOOKUP, conditional=False)
        if isinstance(got, Failed):
            return {each.claim.id: got for each in suspects}
        by_id: dict[int, JobObject] = {job.id: job for job in got.jobs}
        found: dict[str, Answer] = {}
        for each in suspects:
            job = by_id.get(each.claim.job_id or 0)
            if job is not None:
                found[each.claim.id] = Answered(at=got.at, jobs=(job,))
            else:
                # That a list lacks it is no evidence; the job itself answers.
                found |= await self._single(each)
        return found

    async def _single(self, suspect: Suspect) -> dict[str, Answer]:
        job_id = suspect.claim.job_id
        if job_id is None:
            return {}
        return {suspect.claim.id: await self._fleet.github.job(suspect.claim.repository, job_id)}

    async def _list(self, scope: Scope, place: _Place, wanted: set[str]) -> None:
        at = self._fleet.clock.monotonic()
        got: Listed[RunnerObject] | Failed = await self._fleet.github.list_runners(scope, priority=Priority.ACT)
        place.listed_for = set()
        if isinstance(got, Failed):
            # Each is asked about by itself, and the next step tries the list again.
            place.open.clear()
            return
        place.pages = len(got.items) // PAGE + 1
        place.listed = {runner.name: runner for runner in got.items}
        place.listed_for, place.listed_at = wanted, at
