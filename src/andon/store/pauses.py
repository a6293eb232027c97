"""Work whose runners cannot be minted for now; each backs off alone (R18, R20).

A failure of the credential, the rate or the network concerns all of an owner; one of a repository's
permissions or of a pool's runner group concerns only that repository and pool.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, select

from andon.model.journal import Entry
from andon.store.jobs import Paused
from andon.store.prepared import Prepared, Records
from andon.store.schema import pauses as table
from andon.store.transaction import Tx
from andon.store.upsert import upsert

FIRST = timedelta(seconds=5)
LONGEST = timedelta(minutes=10)
"""What a person has to mend: a permission, a runner group."""
LONGEST_OF_OWNER = timedelta(minutes=2)
"""What mostly ends by itself, such as an outage: idle slots beside waiting jobs must not outlast it for long (I13).
Where GitHub names a time, that counts."""
_KEY = ("owner", "repository", "pool")


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Until when some work is left alone, and why. Empty `repository` or `pool`: all of them."""

    owner: str
    repository: str
    pool: str
    until: datetime
    failures: int
    reason: str

    def covers(self, owner: str, repository: str, pool: str) -> bool:
        """Whether this work is left alone by it."""
        return self.owner == owner and self.repository in ("", repository) and self.pool in ("", pool)


# Made once: this statement runs in every round of dispatch.
_ALL = Records(select(table), Pause)
_NEXT_END = Prepared(select(func.min(table.c.until, type_=table.c.until.type)).where(table.c.until > bindparam("now")))
_RESUME = Prepared(
    delete(table).where(
        table.c.owner == bindparam("owner"),
        table.c.repository.in_(["", bindparam("repository")]),
        table.c.pool.in_(["", bindparam("pool")]),
    )
)


def pauses(connection: Connection) -> list[Pause]:
    """Every pause, also those that have run out: they remember how often it failed, and one claim tries whether
    they are over (`store.pause_trials`)."""
    return _ALL.structs(connection)


def next_end(connection: Connection, now: datetime) -> datetime | None:
    """When the next pause ends."""
    return _NEXT_END.value(connection, now=now)


def pause_of(known: Sequence[Pause], owner: str, repository: str, pool: str) -> Pause | None:
    """The longest pause that covers this work, or None."""
    covering = [each for each in known if each.covers(owner, repository, pool)]
    return max(covering, key=lambda each: each.until, default=None)


def paused_in(known: Sequence[Pause], pool: str) -> Paused:
    """Whose jobs of this pool these pauses leave alone."""
    here = [each for each in known if each.pool in ("", pool)]
    return Paused(
        owners=tuple(each.owner for each in here if not each.repository),
        repositories=tuple(each.repository for each in here if each.repository),
    )


def pause(
    tx: Tx, owner: str, *, reason: str, until: datetime | None = None, repository: str = "", pool: str = ""
) -> None:
    """Pauses work: until GitHub's own time when it gave one, else twice as long as last time.

    Many claims can fail of one cause at once; they are one failure, not many.
    """
    known = next(
        (
            each
            for each in pauses(tx.connection)
            if (each.repository, each.pool) == (repository, pool) and each.owner == owner
        ),
        None,
    )
    if known is not None and known.until > tx.now and (until is None or until <= known.until):
        return
    failures = known.failures + 1 if known else 1
    backoff = min(FIRST * 2 ** min(failures - 1, 10), LONGEST if repository or pool else LONGEST_OF_OWNER)
    end = max(until, tx.now + FIRST) if until else tx.now + backoff
    made = Pause(owner=owner, repository=repository, pool=pool, until=end, failures=failures, reason=reason)
    upsert(tx.connection, table, msgspec.structs.asdict(made), key=_KEY)
    tx.record(
        Entry(
            actor="loop:outbox",
            kind="owner.paused",
            subject_kind="owner",
            subject_id=owner,
            reason=f"runners cannot be minted: {reason}",
            evidence={"until": end.isoformat(), "failures": failures, "repository": repository, "pool": pool},
        )
    )


def resume(tx: Tx, owner: str, repository: str, pool: str) -> None:
    """Forgets the failures that covered this work: a runner was minted."""
    if _RESUME.run(tx.connection, owner=owner, repository=repository, pool=pool):
        tx.record(
            Entry(
                actor="loop:outbox",
                kind="owner.resumed",
                subject_kind="owner",
                subject_id=owner,
                reason="GitHub gave a runner again",
                evidence={"repository": repository, "pool": pool},
            )
        )
        tx.nudges.add("dispatch")
