"""Act "reclaim_slot": ends a runner's process that outlives its completed job, when GitHub agrees (R29).

GitHub is asked about the job and the runner first; a question without an answer changes nothing. The
registration goes before the process, so that no job can come to it meanwhile (422: busy, left alone).
"""

import msgspec

from andon.github.client import Answered
from andon.github.outcomes import Failed, FailureClass
from andon.github.runner_payloads import RunnerObject
from andon.loops.acts.learn import keep_answer
from andon.loops.acts.next_try import next_slow_try
from andon.loops.fleet import Fleet
from andon.loops.rails import admitted
from andon.model.nouns import Claim
from andon.rules.claim_doubt import JobFact, ProcessFact, RunnerFact
from andon.rules.limits import AFTER_THE_JOB
from andon.rules.outliving import OutlivingAct, judge_outliving
from andon.rules.rails import rail_of
from andon.store import outbox, outliving
from andon.store.outbox import Act
from andon.store.transaction import Tx


class _Seen(msgspec.Struct, frozen=True, kw_only=True):
    claim: Claim
    job: JobFact


async def reclaim_slot(fleet: Fleet, act: Act) -> None:
    """Performs the act once."""
    claim = await fleet.write(lambda tx: outliving.still_held(tx, act))
    if claim is None or claim.job_id is None:
        return
    answer = await fleet.github.job(claim.repository, claim.job_id)
    if isinstance(answer, Failed):
        await _later(fleet, act, answer)
        return
    seen = await fleet.write(lambda tx: _learn(tx, fleet, act, claim, answer))
    if seen is None:
        return
    scope = fleet.scope(claim.owner, claim.repository)
    found = await fleet.github.find_runner(scope, claim.runner_name)
    if isinstance(found, Failed):
        await _later(fleet, act, found)
        return
    runner = _runner_fact(found)
    row = judge_outliving(seen.job, runner, ProcessFact.ALIVE)
    if row.act is OutlivingAct.LEAVE:
        await _look_again(fleet, act, row.reason)
        return
    evidence = {"job_is": seen.job.value, "runner_is": runner.value, "process_is": ProcessFact.ALIVE.value}
    on = rail_of(act.kind)
    if on is not None and not await admitted(
        fleet, act, on, evidence, still=lambda tx: outliving.still_held(tx, act) is not None
    ):
        return
    if found is not None:
        failure = await fleet.github.delete_runner(scope, found.id)
        if failure is not None and failure.kind is not FailureClass.GONE:
            await _later(fleet, act, failure)
            return
    if await fleet.write(lambda tx: outliving.reclaim(tx, act, seen.claim, evidence)):
        fleet.log.warning("slot.reclaimed", host=claim.host, slot=claim.slot, claim=claim.id, job=claim.job_id)
        fleet.count("andon_rescues_total", kind="outlived")


def _learn(tx: Tx, fleet: Fleet, act: Act, claim: Claim, answer: Answered) -> _Seen | None:
    """Keeps GitHub's word on the job; None when it is not time yet, or nothing is held any more."""
    keep_answer(tx, fleet, claim.repository, answer, None, "reclaim")
    now = outliving.still_held(tx, act)
    if now is None:
        return None
    job, due = outliving.job_fact(tx, now)
    if due is not None and due > tx.now:
        outbox.postpone(tx, act, until=due, reason="its job has not been over for long enough")
        return None
    return _Seen(claim=now, job=job)


def _runner_fact(found: RunnerObject | None) -> RunnerFact:
    if found is None:
        return RunnerFact.ABSENT
    if found.busy:
        return RunnerFact.BUSY
    return RunnerFact.IDLE if found.status == "online" else RunnerFact.OFFLINE


async def _look_again(fleet: Fleet, act: Act, reason: str) -> None:
    until = fleet.clock.now() + AFTER_THE_JOB
    await fleet.write(lambda tx: outbox.postpone(tx, act, until=until, reason=reason))


async def _later(fleet: Fleet, act: Act, failure: Failed) -> None:
    """Nobody waits for it but the slot; what GitHub refuses as busy is looked at as often as the rest."""
    now = fleet.clock.now()
    until = next_slow_try(failure, act.attempts, now, AFTER_THE_JOB) or now + AFTER_THE_JOB
    await fleet.write(lambda tx: outbox.postpone(tx, act, until=until, reason=failure.message))
