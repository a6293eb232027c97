"""Loop "claims": every deadline of the claim table, with its consequence (model.claim_states).

Nothing is given up here that GitHub knows of: in doubt means that GitHub is asked (promise 1).
"""

from datetime import datetime, timedelta

from andon.loops.fleet import Fleet
from andon.model.claim_states import CLAIMS, ClaimEvent, ClaimState
from andon.model.job_states import JobStatus
from andon.model.journal import Entry
from andon.model.nouns import Claim
from andon.model.rails import Rail
from andon.rules.limits import AFTER_THE_JOB
from andon.rules.rails import Admission, tell
from andon.store import claims, hosts, jobs, outbox, outliving, pauses
from andon.store.claims import Change, advance
from andon.store.clock_set_back import bring_near
from andon.store.columns import to_micros
from andon.store.doubt import ask, doubt
from andon.store.rails import would
from andon.store.transaction import Tx

BATCH = 100
"""Most overdue claims of one pass; how many of them are given up is for their rail to say."""
ACTOR = "loop:claims"
ASK_AGAIN = timedelta(hours=1)
"""How long until GitHub is asked again about a job that is past its limit."""

SET_BACK = timedelta(seconds=30)
"""So much less time than was counted: the clock was set back, and not only kept in step."""

HELD_FOR = timedelta(minutes=1)
"""How soon a claim is looked at again whose release its rail holds back."""


class ClaimDeadlines:
    """One pass handles what is overdue, and sleeps until the next deadline."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._last = (fleet.clock.monotonic(), fleet.clock.now())
        """When the last good pass was, by both clocks."""
        self._generation: int | None = None
        """Of the lease in it: before another one, somebody else's clock dated what waits."""

    async def run_once(self) -> float | None:
        """Handles what is overdue; gives the seconds until the next deadline."""
        lease = self._fleet.lease()
        if lease is None:
            return None
        await self._follow_the_clock(lease.generation)
        upcoming = await self._fleet.store.read(claims.next_deadline)
        now = self._fleet.clock.now()
        if upcoming is None or upcoming > now:
            return _until(upcoming, now)
        late = await self._fleet.store.read(lambda connection: claims.overdue(connection, now, BATCH))
        for claim in late:
            asked = await self._fleet.write(lambda tx, claim=claim: self._handle(tx, claim.id))
            if asked is not None:
                tell(self._fleet.count, asked)
            self._fleet.log.info("claim.overdue", claim=claim.id, job=claim.job_id, state=claim.state.value)
        if len(late) == BATCH:
            return 0.0
        return _until(await self._fleet.store.read(claims.next_deadline), self._fleet.clock.now())

    async def _follow_the_clock(self, generation: int) -> None:
        """What was dated by a clock that ran ahead, ours or the last leader's, must not wait for that hour again."""
        monotonic, now = self._fleet.clock.monotonic(), self._fleet.clock.now()
        before, then = self._last
        back = timedelta(seconds=monotonic - before) - (now - then)
        if back > SET_BACK or generation != self._generation:
            ahead = back > SET_BACK
            brought = await self._fleet.write(lambda tx: bring_near(tx, self._fleet.pools, was_ahead=ahead))
            if brought:
                self._fleet.log.warning("clock.set_back", waits=brought)
        # Only now: what could not be written is tried again.
        self._last, self._generation = (monotonic, now), generation

    def _handle(self, tx: Tx, claim_id: str) -> Admission | None:
        """Gives what the rail said of giving the claim up, if that is what followed and it is news."""
        claim = claims.get_claim(tx.connection, claim_id)
        if claim is None or claim.deadline is None or claim.deadline > tx.now:
            return None
        if claim.state is ClaimState.RESERVED:
            return self._give_back_late(tx, claim)
        if claim.state in (ClaimState.MINTED, ClaimState.LAUNCHED, ClaimState.REGISTERED):
            doubt(tx, claim, actor=ACTOR, reason=f"{claim.state.value} for too long: {_limit_text(claim)}")
        elif claim.state is ClaimState.ORPHANED:
            claims.set_facts(tx, claim, deadline=tx.now + CLAIMS.limit(ClaimState.ORPHANED))
            if not outbox.is_pending(tx.connection, "resolve_claim", claim.id):
                ask(tx, claim)
        elif claim.state is ClaimState.BUSY:
            self._look_at_busy(tx, claim)
        return None

    def _give_back_late(self, tx: Tx, claim: Claim) -> Admission | None:
        # What our own rail holds back is no failure of GitHub's, and nothing that its owner has to wait for.
        held = outbox.held_because(tx.connection, "mint_runner", claim.id)
        reason = f"its runner was not minted: {held}" if held else "GitHub gave no JIT config within 30 s"
        answer = self._fleet.admit(tx, Rail.RESCUE)
        if answer.acts:
            if held is None:
                pauses.pause(tx, claim.owner, reason=reason)
            give_back(tx, claim, reason=reason)
            return answer
        claims.set_facts(tx, claim, deadline=answer.capped_until or tx.now + HELD_FOR)
        said = answer.mode == "observe" and _would_give_back(tx, claim, reason)
        return answer if said else None

    def _look_at_busy(self, tx: Tx, claim: Claim) -> None:
        """Past its limit a job is asked about and journalled; never ended by us (R28).

        Once GitHub says that the job is over, a claim whose process nobody reports is settled: its
        host was lost with the end unreported, and it must not hold its slot and cap for ever. One whose
        process is still reported is looked at, and its slot reclaimed (R29).
        """
        job = jobs.get_job(tx.connection, claim.job_id) if claim.job_id is not None else None
        if job is not None and job.status is JobStatus.COMPLETED:
            if not hosts.reports_claim(tx.connection, claim):
                reason = "the job is over, and no host reports the runner's process any more"
                advance(tx, claim, Change(event=ClaimEvent.ENDED, actor=ACTOR, reason=reason))
                return
            claims.set_facts(tx, claim, deadline=tx.now + AFTER_THE_JOB)
            self._journal_overlong(tx, claim, "the job is over and its runner's process lives on; GitHub is asked")
            outliving.look(tx, claim)
            return
        claims.set_facts(tx, claim, deadline=tx.now + ASK_AGAIN)
        self._journal_overlong(tx, claim, "the job runs longer than its limit; GitHub is asked, nothing is ended")
        if claim.job_id is not None:
            tx.order(
                "learn_job",
                key=f"learn_job:{claim.job_id}:overlong:{to_micros(tx.now)}",
                subject=str(claim.job_id),
                payload={"repository": claim.repository, "job_id": claim.job_id},
            )

    def _journal_overlong(self, tx: Tx, claim: Claim, reason: str) -> None:
        tx.record(
            Entry(
                actor=ACTOR,
                kind="claim.overlong",
                subject_kind="claim",
                subject_id=claim.id,
                generation=claim.generation,
                from_state=claim.state.value,
                to_state=claim.state.value,
                reason=reason,
                job_id=claim.job_id,
                host=claim.host,
            )
        )


def _until(upcoming: datetime | None, now: datetime) -> float | None:
    return None if upcoming is None else max(0.05, (upcoming - now).total_seconds())


def _would_give_back(tx: Tx, claim: Claim, reason: str) -> bool:
    entry = Entry(
        actor=ACTOR,
        kind="claim.would_release",
        subject_kind="claim",
        subject_id=claim.id,
        generation=claim.generation,
        reason=f"rails are in observe mode; it would have been released: {reason}",
        evidence={"state": claim.state.value, "since": claim.since.isoformat(), "runner": claim.runner_name},
        job_id=claim.job_id,
        host=claim.host,
    )
    return would(tx, key=f"release:{claim.id}", entry=entry)


def _limit_text(claim: Claim) -> str:
    return CLAIMS.deadlines[claim.state].text


def give_back(tx: Tx, claim: Claim, *, reason: str) -> None:
    """Releases a claim whose runner may or may not exist at GitHub, and orders its removal by name."""
    advance(tx, claim, Change(event=ClaimEvent.GIVEN_UP, actor=ACTOR, reason=reason))
    tx.order(
        "retire_runner",
        key=f"retire:{claim.id}",
        subject=claim.id,
        generation=claim.generation,
        payload={"owner": claim.owner, "repository": claim.repository, "name": claim.runner_name},
    )
