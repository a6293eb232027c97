"""Act "mint_runner": a JIT config for a reserved claim (R20, R22, R26).

A lost answer is the hard case: GitHub has the runner, we do not have its config. The retry is
answered 409; the name is looked up, and since no process can have started without the config, the
registration is deleted and minted anew.
"""

from datetime import timedelta

from sqlalchemy import Connection

from andon.github.client import Scope
from andon.github.effects import EFFECTS, Pauses, Retry
from andon.github.outcomes import Failed, FailureClass
from andon.github.runner_payloads import JitAnswer, RunnerObject
from andon.loops.acts.next_try import next_try
from andon.loops.claims import give_back
from andon.loops.fleet import Fleet
from andon.loops.rails import admitted
from andon.model.claim_states import CLAIMS, ClaimEvent, ClaimState
from andon.model.job_states import JobStatus
from andon.model.machine import Rejected
from andon.model.nouns import Claim
from andon.rules.backoff import backoff
from andon.rules.rails import FREE_NAME
from andon.store import claims, jobs, outbox, pauses
from andon.store.claims import Change, advance
from andon.store.outbox import Act
from andon.store.transaction import Tx

MAX_TRIES = 3
"""Tries for one claim before it leaves the head of the queue and its owner is paused (R20)."""
AGAIN_SOON = timedelta(milliseconds=200)
"""After a registration was really removed, and only then: everything else waits longer each time."""


async def mint_runner(fleet: Fleet, act: Act) -> None:
    """Performs the act once."""
    claim, wanted_still = await fleet.store.read(lambda connection: _as_it_stands(connection, act))
    # A shuffle may have moved the claim's demand and generation: the runner is the claim's all the same.
    if claim is None or claim.state is not ClaimState.RESERVED or not wanted_still:
        await fleet.write(lambda tx: _not_needed(tx, act))
        return
    wanted = act.payload
    scope = fleet.scope(claim.owner, claim.repository)
    got = await fleet.github.mint_runner(
        scope, name=wanted["name"], group=wanted["group"], labels=tuple(wanted["labels"])
    )
    if isinstance(got, JitAnswer):
        await fleet.write(lambda tx: _keep(tx, act, got))
        return
    retry = EFFECTS[got.kind].retry
    if retry is Retry.AFTER_LOOK:
        await _free_the_name(fleet, act, claim)
    elif retry is Retry.BACKOFF and act.attempts + 1 < MAX_TRIES:
        until = next_try(got, act.attempts, fleet.clock.now())
        await fleet.write(lambda tx: outbox.postpone(tx, act, until=until, reason=got.message))
    else:
        await fleet.write(lambda tx: _give_back(tx, act, scope, got))
        fleet.log.warning("owner.paused", owner=claim.owner, failure=got.kind.value, message=got.message)


def _keep(tx: Tx, act: Act, got: JitAnswer) -> None:
    claim = claims.get_claim(tx.connection, act.subject)
    moved = None
    if claim is not None:
        moved = advance(
            tx,
            claim,
            Change(
                event=ClaimEvent.MINTED,
                actor="loop:outbox",
                reason="GitHub gave a JIT config",
                evidence={"runner_id": got.runner.id, "runner": got.runner.name},
                deadline=tx.now + CLAIMS.limit(ClaimState.MINTED),
                values={"runner_id": got.runner.id},
            ),
        )
    if claim is None or moved is None or isinstance(moved, Rejected):
        # Released while GitHub was answering: nobody will start this runner.
        _retire(tx, act)
        outbox.finish(tx, act, result="minted too late; the runner is removed again")
        return
    claims.keep_jit_config(tx, claim.id, got.encoded_jit_config)
    pauses.resume(tx, claim.owner, claim.repository, claim.pool)
    outbox.finish(tx, act, result=f"runner {got.runner.id}")


def _as_it_stands(connection: Connection, act: Act) -> tuple[Claim | None, bool]:
    """The claim, and whether its job still waits for a runner: news that came in observe mode left
    the claim as it was (R98)."""
    claim = claims.get_claim(connection, act.subject)
    job = jobs.get_job(connection, claim.job_id) if claim is not None and claim.job_id is not None else None
    return claim, job is None or job.status is JobStatus.QUEUED


def _not_needed(tx: Tx, act: Act) -> None:
    claim, wanted = _as_it_stands(tx.connection, act)
    if claim is not None and claim.state is ClaimState.RESERVED:
        if wanted:
            outbox.postpone(tx, act, until=tx.now, reason="its job was queued again meanwhile")
            return
        outbox.finish(tx, act, result="its job waits for no runner any more")
        give_back(tx, claim, reason=f"its job {claim.job_id} is not queued any more")
        return
    outbox.finish(tx, act, result="the claim needs no runner any more")
    if act.attempts:
        # A try before this one may have been carried out with its answer lost.
        _retire(tx, act)


def _retire(tx: Tx, act: Act) -> None:
    payload = {name: act.payload[name] for name in ("owner", "repository", "name")}
    tx.order("retire_runner", key=f"retire:{act.subject}:late", subject=act.subject, payload=payload)


def _give_back(tx: Tx, act: Act, scope: Scope, failure: Failed) -> None:
    claim = claims.get_claim(tx.connection, act.subject)
    outbox.finish(tx, act, result=failure.message, failed=True)
    if claim is None:
        return
    narrow = EFFECTS[failure.kind].pauses is Pauses.WORK
    pauses.pause(
        tx,
        claim.owner,
        repository=scope.repository or "" if narrow else "",
        pool=claim.pool if narrow else "",
        reason=failure.message,
        until=failure.until,
    )
    if claim.state is ClaimState.RESERVED:
        give_back(tx, claim, reason=f"no runner could be minted: {failure.message}")


def _may_free_the_name(tx: Tx, act: Act, claim: Claim) -> bool:
    """Whether the registration is still nobody's; asked directly before it is removed."""
    now = claims.get_claim(tx.connection, claim.id)
    if now is not None and now.state is ClaimState.RESERVED and now.generation == claim.generation:
        return True
    outbox.postpone(tx, act, until=tx.now + AGAIN_SOON, reason="the claim moved on while its name was looked up")
    return False


async def _free_the_name(fleet: Fleet, act: Act, claim: Claim) -> None:
    """409: looks the name up, removes the registration nobody can use, and mints again."""
    scope = fleet.scope(act.payload["owner"], act.payload["repository"])
    found = await fleet.github.find_runner(scope, act.payload["name"])
    pause = backoff(act.attempts)
    if isinstance(found, RunnerObject) and not await admitted(
        fleet, act, FREE_NAME, still=lambda tx: _may_free_the_name(tx, act, claim)
    ):
        return
    if isinstance(found, Failed):
        reason = f"the name exists; its registration could not be looked up: {found.message}"
    elif found is None:
        reason = "GitHub says that the name exists, and does not list it"
    elif (failure := await fleet.github.delete_runner(scope, found.id)) is None:
        reason = "the name was taken by a lost answer; removed, minting again"
        # A name that is taken again and again after its removal is no lost answer.
        pause = AGAIN_SOON if act.attempts < MAX_TRIES else pause
        fleet.log.info("runner.lost_answer", runner=act.payload["name"], claim=act.subject)
    elif failure.kind is FailureClass.GONE:
        reason = "the name was taken when it was looked up, and its registration is gone by now"
    else:
        reason = f"the name exists and cannot be removed: {failure.message}"
    until = fleet.clock.now() + pause
    await fleet.write(lambda tx: outbox.postpone(tx, act, until=until, reason=reason))
