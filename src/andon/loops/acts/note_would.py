"""Act "note_would_claim": in observe mode, journals once per job what would have been done (R98)."""

from andon.loops.fleet import Fleet
from andon.model.journal import Entry
from andon.store import outbox
from andon.store.outbox import Act
from andon.store.transaction import Tx


async def note_would_claim(fleet: Fleet, act: Act) -> None:
    """Performs the act once."""

    def write(tx: Tx) -> None:
        if not outbox.finish(tx, act, result="journalled"):
            return
        tx.record(
            Entry(
                actor="loop:dispatch",
                kind="claim.would_reserve",
                subject_kind="job",
                subject_id=act.subject,
                reason="rails are in observe mode: the job would have been claimed",
                mode="observe",
                evidence=act.payload,
                job_id=int(act.subject),
                host=act.payload.get("host"),
            )
        )

    await fleet.write(write)
    fleet.count("andon_automatic_acts_total", rail="dispatch", mode="observe")
