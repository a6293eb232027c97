"""How hosts come and go: one-use tokens, their exchange, and removal (interfaces.md section 2).

Every token is kept as a hash. One that opens nothing any more is remembered for a while, so that
its holder is told what became of it.
"""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, delete, select, update

from andon.model.enrolment import ONE_USE_LIFE, TokenState
from andon.model.host_states import SILENT_AFTER
from andon.model.journal import Entry
from andon.model.nouns import Host
from andon.store import claims, disks, hosts, workspaces
from andon.store.bulk import insert_new
from andon.store.hosts import token_hash
from andon.store.rows import to_struct
from andon.store.schema import enrolment_tokens as tokens
from andon.store.schema import host_tokens, slots
from andon.store.schema import hosts as hosts_table
from andon.store.transaction import Tx

REMEMBERED = timedelta(days=30)
"""How long it is told what became of a token; after that it is unknown."""


class KnownToken(msgspec.Struct, frozen=True, kw_only=True):
    """A one-use token, or a host token that opens nothing any more."""

    host: str
    state: TokenState
    reason: str
    """Why it was made or ended, in the words of whoever did."""
    expires_at: datetime | None
    """None: it was a host token."""
    since: datetime
    """Since when it is in `state`."""


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """A removal: its journal line, and the jobs that go on there."""

    journal: str
    jobs: tuple[int, ...]


def known_token(connection: Connection, token: str) -> KnownToken | None:
    """What is known of a token that is no host's present one."""
    row = connection.execute(select(tokens).where(tokens.c.token_hash == token_hash(token))).mappings().first()
    return to_struct(row, KnownToken) if row else None


def speaks(host: Host | None, now: datetime) -> bool:
    """Whether the host's agent was heard so recently that it counts as live. `now`: the time that leases run by."""
    return host is not None and host.last_seen is not None and now - host.last_seen < SILENT_AFTER


def grant(tx: Tx, name: str, token: str, *, reason: str) -> str | None:
    """Makes `token` usable once for a host of this name, in place of an earlier one.

    Gives the journal line, or None while the agent of such a host is live.
    """
    if speaks(hosts.get_host(tx.connection, name), tx.lease_time()):
        return None
    _end_granted(tx, name, TokenState.REPLACED)
    old = (tokens.c.state != TokenState.GRANTED.value) | (tokens.c.expires_at < tx.now)
    tx.connection.execute(delete(tokens).where(old, tokens.c.since < tx.now - REMEMBERED))
    _remember(tx, token_hash(token), name, TokenState.GRANTED, reason, expires_at=tx.now + ONE_USE_LIFE)
    return tx.record(
        Entry(
            actor="operator",
            kind="host.added",
            subject_kind="host",
            subject_id=name,
            reason=reason,
            evidence={"expires_at": (tx.now + ONE_USE_LIFE).isoformat()},
            host=name,
        )
    )[0]


def exchange(tx: Tx, name: str, token: str, host_token: str) -> bool:
    """Spends a granted one-use token for `host_token`; the host's earlier token is revoked.

    False, and nothing changed, when somebody was faster, it expired, or it is another host's.
    """
    spent = tx.connection.execute(
        update(tokens)
        .where(
            tokens.c.token_hash == token_hash(token),
            tokens.c.host == name,
            tokens.c.state == TokenState.GRANTED.value,
            tokens.c.expires_at > tx.now,
        )
        .values(state=TokenState.SPENT.value, since=tx.now)
    )
    if spent.rowcount != 1:
        return False
    _end_host_token(tx, name, TokenState.REPLACED, "the host was enrolled anew")
    return hosts.enrol(tx, name, host_token, reason="the agent showed a one-use token of `andon host add`")


def remove(tx: Tx, name: str, *, reason: str) -> Removed | None:
    """Takes the host away: its tokens open nothing, it is no capacity, its history stays.

    What runs on it goes on; GitHub's word ends those claims. None: there is no such host.
    """
    host = hosts.get_host(tx.connection, name)
    ended = _end_granted(tx, name, TokenState.REVOKED, reason)
    ended += _end_host_token(tx, name, TokenState.REVOKED, reason)
    if host is None and not ended:
        return None
    live = claims.live_claims(tx.connection, host=name)
    jobs = tuple(claim.job_id for claim in live if claim.job_id is not None)
    tx.connection.execute(delete(slots).where(slots.c.host == name))
    workspaces.forget(tx, name)
    disks.forget(tx, name)
    tx.connection.execute(delete(hosts_table).where(hosts_table.c.name == name))
    tx.nudges |= {f"host:{name}", "dispatch", "claims"}
    lines = tx.record(
        Entry(
            actor="operator",
            kind="host.removed",
            subject_kind="host",
            subject_id=name,
            from_state=host.intent.value if host else None,
            reason=reason,
            evidence={"live_jobs": list(jobs[:100]), "live_claims": len(live)},
            host=name,
        )
    )
    return Removed(journal=lines[0], jobs=jobs)


def _end_granted(tx: Tx, name: str, state: TokenState, reason: str | None = None) -> int:
    values = {"state": state.value, "since": tx.now} | ({"reason": reason} if reason else {})
    return tx.connection.execute(
        update(tokens)
        .where(tokens.c.host == name, tokens.c.state == TokenState.GRANTED.value, tokens.c.expires_at > tx.now)
        .values(values)
    ).rowcount


def _end_host_token(tx: Tx, name: str, state: TokenState, reason: str) -> int:
    found = tx.connection.execute(select(host_tokens.c.token_hash).where(host_tokens.c.host == name)).scalar()
    if found is None:
        return 0
    tx.connection.execute(delete(host_tokens).where(host_tokens.c.host == name))
    _remember(tx, found, name, state, reason, expires_at=None)
    return 1


def _remember(tx: Tx, hashed: str, name: str, state: TokenState, reason: str, *, expires_at: datetime | None) -> None:
    insert_new(
        tx.connection,
        tokens,
        [
            {
                "token_hash": hashed,
                "host": name,
                "state": state.value,
                "reason": reason,
                "expires_at": expires_at,
                "created_at": tx.now,
                "since": tx.now,
            }
        ],
    )
