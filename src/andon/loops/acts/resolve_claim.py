"""Act "resolve_claim": asks GitHub about the job and the runner of a claim in doubt, and judges.

The evidence table is `rules.claim_doubt`. A question without an answer changes nothing and is
asked again (law 4); the registration is deleted before anything is given up. A place that stays out of
reach (`looks`) gives up only a claim whose process's end is known.
"""

from datetime import timedelta

import msgspec

from andon.github.client import Answered
from andon.github.outcomes import Failed, FailureClass
from andon.github.runner_payloads import RunnerObject
from andon.loops.acts.learn import keep_answer
from andon.loops.acts.looks import forget, look_again, with_this_one
from andon.loops.acts.next_try import is_out_of_reach, next_try
from andon.loops.fleet import Fleet
from andon.loops.lookups import Lookups
from andon.loops.rails import admitted
from andon.model.claim_states import CLAIMS, ClaimEvent, ClaimState
from andon.model.job_states import JobStatus
from andon.model.machine import Rejected
from andon.model.nouns import Claim
from andon.model.wire import SlotState
from andon.rules.claim_doubt import LOOKS, LOOKS_APART, DoubtAct, JobFact, ProcessFact, RunnerFact, Verdict, judge
from andon.rules.lookups import next_look
from andon.rules.rails import RELEASE
from andon.store import claims, hosts, jobs, outbox
from andon.store.claims import Change, advance
from andon.store.outbox import Act
from andon.store.transaction import Tx

_GIVES_UP = (DoubtAct.REMOVE, DoubtAct.LET_GO)


class _Evidence(msgspec.Struct, frozen=True, kw_only=True):
    claim: Claim
    job_is_known: bool
    """Whether GitHub knows the claim's job."""
    job: JobFact
    process: ProcessFact

    def facts(self, runner: RunnerFact) -> dict[str, str]:
        return {"job_is": self.job.value, "runner_is": runner.value, "process_is": self.process.value}


async def resolve_claim(fleet: Fleet, act: Act, lookups: Lookups | None = None) -> None:
    """Performs the act once; its questions are shared with the other acts that are given the same `lookups`."""
    lookups = lookups or Lookups(fleet)
    claim = await fleet.store.read(lambda connection: claims.get_claim(connection, act.subject))
    if claim is None or claim.state is not ClaimState.ORPHANED:
        await fleet.write(lambda tx: outbox.finish(tx, act, result="no longer in doubt"))
        return
    answer = await lookups.job(claim)
    if isinstance(answer, Failed) and not is_out_of_reach(answer):
        await _ask_again(fleet, act, answer.message, answer)
        return
    evidence = await fleet.write(lambda tx: _learn_job(tx, fleet, act, claim, answer))
    if evidence is None:
        return
    scope = fleet.scope(claim.owner, claim.repository)
    found = await lookups.runner(claim)
    if isinstance(found, Failed):
        await _not_answered(fleet, act, evidence, found)
        return
    if isinstance(answer, Failed) and answer.kind is not FailureClass.GONE:
        await _ask_again(fleet, act, answer.message, answer)
        return
    runner = _runner_fact(found)
    verdict = judge(evidence.job, runner, evidence.process)
    facts = evidence.facts(runner)
    if not await _may_give_up(fleet, act, evidence, verdict, facts):
        return
    runner_id = found.id if found is not None else claim.runner_id
    if verdict.act is DoubtAct.REMOVE and runner_id is not None:
        failure = await fleet.github.delete_runner(scope, runner_id)
        if failure is not None and failure.kind is not FailureClass.GONE:
            await _not_answered(fleet, act, evidence, failure, "the registration was not removed: ")
            return
    await _carry_out(fleet, act, evidence, verdict, facts)


async def _not_answered(fleet: Fleet, act: Act, evidence: _Evidence, failed: Failed, what: str = "") -> None:
    """The place did not let itself be asked: a row of the table only when that is no passing thing."""
    if not is_out_of_reach(failed):
        await _ask_again(fleet, act, what + failed.message, failed)
        return
    looks = with_this_one(act, fleet.clock.now())
    if looks.number < LOOKS:
        await fleet.write(lambda tx: look_again(tx, act, looks, failed))
        return
    verdict = judge(evidence.job, RunnerFact.OUT_OF_REACH, evidence.process)
    facts = {**evidence.facts(RunnerFact.OUT_OF_REACH), **looks.facts(), "github_said": what + failed.message}
    if verdict.act is DoubtAct.WAIT:
        until = fleet.clock.now() + LOOKS_APART
        await fleet.write(
            lambda tx: outbox.postpone(tx, act, until=until, reason=f"{verdict.reason}: {failed.message}")
        )
    elif await _may_give_up(fleet, act, evidence, verdict, facts):
        await _carry_out(fleet, act, evidence, verdict, facts)


async def _may_give_up(fleet: Fleet, act: Act, evidence: _Evidence, verdict: Verdict, facts: dict[str, str]) -> bool:
    """Asks the rail, if the verdict is an act at all; directly before a registration is removed."""
    if verdict.act not in _GIVES_UP:
        return True
    because = {"because": verdict.reason, **facts}
    return await admitted(fleet, act, RELEASE, because, still=lambda tx: _is_as_judged(tx, act, evidence.claim))


async def _carry_out(fleet: Fleet, act: Act, evidence: _Evidence, verdict: Verdict, facts: dict[str, str]) -> None:
    claim = evidence.claim
    if not await fleet.write(lambda tx: _conclude(tx, act, evidence, verdict, facts)):
        return
    fleet.log.info("claim.judged", claim=claim.id, job=claim.job_id, verdict=verdict.act.value, **facts)
    if verdict.act in _GIVES_UP:
        fleet.count("andon_rescues_total", kind=evidence.job.value)


def _learn_job(tx: Tx, fleet: Fleet, act: Act, asked: Claim, answer: Answered | Failed | None) -> _Evidence | None:
    """Applies GitHub's word on the job of the claim as it was `asked` about: often that settles the claim. None
    when it did, and when it is to be asked about again."""
    if isinstance(answer, Answered):
        keep_answer(tx, fleet, asked.repository, answer, None, "resolve")
    claim = claims.get_claim(tx.connection, act.subject)
    if claim is None or claim.state is not ClaimState.ORPHANED:
        outbox.finish(tx, act, result="GitHub's word on the job settled it")
        return None
    if claim.job_id != asked.job_id:
        # The answer itself can move it: of its job of now GitHub was not asked, and what our tables hold is old.
        outbox.postpone(tx, act, until=tx.now, reason="the claim stands for another job than the one asked about")
        return None
    gone = isinstance(answer, Failed) and answer.kind is FailureClass.GONE
    return _evidence(tx, claim, job_is_known=answer is not None and not gone)


def _evidence(tx: Tx, claim: Claim, *, job_is_known: bool) -> _Evidence:
    job = _job_fact(tx, claim) if job_is_known else JobFact.ABSENT
    return _Evidence(claim=claim, job_is_known=job_is_known, job=job, process=_process_fact(tx, claim))


def _is_as_judged(tx: Tx, act: Act, claim: Claim) -> bool:
    """Whether the claim is still the one that was judged, and we still lead; asked directly before
    the registration is removed: a successor's judgement, or news, may have given it a job meanwhile."""
    now = claims.get_claim(tx.connection, claim.id)
    if now is not None and (now.state, now.generation) == (ClaimState.ORPHANED, claim.generation):
        return True
    outbox.postpone(tx, act, until=tx.now, reason="the claim moved on while GitHub was asked")
    return False


def _job_fact(tx: Tx, claim: Claim) -> JobFact:
    job = jobs.get_job(tx.connection, claim.job_id) if claim.job_id is not None else None
    if job is None:
        return JobFact.ABSENT
    # Without an answer, what GitHub said last stands.
    here = job.runner_name == claim.runner_name
    if job.status is JobStatus.IN_PROGRESS:
        return JobFact.HERE if here else JobFact.ELSEWHERE
    if job.status is JobStatus.COMPLETED:
        return JobFact.DONE_HERE if here else JobFact.ELSEWHERE
    return JobFact.QUEUED if job.status is JobStatus.QUEUED else JobFact.WAITING


def _process_fact(tx: Tx, claim: Claim) -> ProcessFact:
    if claim.ended_at is not None:
        return ProcessFact.GONE
    for slot in hosts.all_slots(tx.connection, host=claim.host):
        if slot.slot == claim.slot and slot.claim == claim.id and slot.state != SlotState.IDLE.value:
            return ProcessFact.ALIVE
    return ProcessFact.UNKNOWN


def _runner_fact(found: RunnerObject | None) -> RunnerFact:
    if found is None:
        return RunnerFact.ABSENT
    if found.busy:
        return RunnerFact.BUSY
    return RunnerFact.IDLE if found.status == "online" else RunnerFact.OFFLINE


def _conclude(tx: Tx, act: Act, evidence: _Evidence, verdict: Verdict, facts: dict[str, str]) -> bool:
    """Writes the verdict down; False when it does not stand any more, or was to wait."""
    claim = evidence.claim
    as_it_is = claims.get_claim(tx.connection, claim.id)
    if as_it_is is not None and as_it_is.state is ClaimState.ORPHANED:
        now = _evidence(tx, as_it_is, job_is_known=evidence.job_is_known)
        if (now.job, now.process) != (evidence.job, evidence.process):
            # The job ended elsewhere, or the process did, while the runner was asked about: a runner that
            # was kept on the old evidence would wait its whole deadline for a job that never comes.
            forget(tx, act, until=tx.now, reason="job or process changed while GitHub was asked")
            return False

    def move(event: ClaimEvent, deadline: timedelta | None = None) -> bool:
        moved = advance(
            tx,
            claim,
            Change(
                event=event,
                actor="loop:claims",
                reason=verdict.reason,
                evidence=dict(facts),
                deadline=tx.now + deadline if deadline else None,
            ),
        )
        return not isinstance(moved, Rejected)

    match verdict.act:
        case DoubtAct.REMOVE:
            moved = move(ClaimEvent.GIVEN_UP)
        case DoubtAct.LET_GO:
            moved = move(ClaimEvent.GIVEN_UP)
            if moved:
                _retire_later(tx, claim)
        case DoubtAct.SETTLE:
            moved = move(ClaimEvent.SERVED)
        case DoubtAct.BIND:
            moved = move(ClaimEvent.BOUND)
        case DoubtAct.KEEP:
            moved = move(ClaimEvent.KEPT, CLAIMS.limit(ClaimState.REGISTERED))
        case DoubtAct.WAIT:
            moved = False
    if moved:
        outbox.finish(tx, act, result=verdict.act.value)
    else:
        # Told to wait, or somebody moved the claim meanwhile: the next look sees it as it is then.
        forget(tx, act, until=next_look(tx.now, act.attempts), reason=verdict.reason)
    return moved


def _retire_later(tx: Tx, claim: Claim) -> None:
    tx.order(
        "retire_runner",
        key=f"retire:{claim.id}",
        subject=claim.id,
        generation=claim.generation,
        payload={"owner": claim.owner, "repository": claim.repository, "name": claim.runner_name},
        delay=LOOKS_APART,
    )


async def _ask_again(fleet: Fleet, act: Act, reason: str, failure: Failed) -> None:
    until = next_try(failure, act.attempts, fleet.clock.now())
    await fleet.write(lambda tx: outbox.postpone(tx, act, until=until, reason=reason))
