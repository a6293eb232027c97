"""The tables. Migrations must end in exactly these (a test compares)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)

from andon.model.claim_states import LIVE
from andon.store.columns import Instant, Json
from andon.store.disk_tables import deletions as deletions
from andon.store.disk_tables import disk_samples as disk_samples
from andon.store.disk_tables import disks as disks
from andon.store.disk_tables import growth as growth
from andon.store.disk_tables import growth_samples as growth_samples
from andon.store.metadata import COUNTER, metadata

LIVE_CLAIM = text("state IN ({})".format(", ".join(f"'{state.value}'" for state in sorted(LIVE))))

meta = Table(
    "meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("seq", COUNTER, primary_key=True, autoincrement=True),
    Column("guid", String, nullable=False, unique=True),
    Column("event", String, nullable=False),
    Column("action", String),
    Column("received_at", Instant, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("body", LargeBinary),
    sqlite_autoincrement=True,
)
TO_APPLY = deliveries.c.state == literal_column("'stored'")
"""Deliveries that wait to be applied."""
Index("ix_deliveries_to_apply", deliveries.c.seq, sqlite_where=TO_APPLY, postgresql_where=TO_APPLY)

runs = Table(
    "runs",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("repository", String, nullable=False),
    Column("workflow", String),
    Column("event", String, nullable=False),
    Column("branch", String),
    Column("sha", String, nullable=False),
    Column("status", String, nullable=False),
    Column("conclusion", String),
    Column("fork", Boolean, nullable=False),
    Column("observed_at", Instant, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", COUNTER, primary_key=True, autoincrement=False),
    Column("repository", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("run_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("workflow", String),
    Column("branch", String),
    Column("sha", String, nullable=False),
    Column("labels", Json, nullable=False),
    Column("pool", String),
    Column("status", String, nullable=False),
    Column("conclusion", String),
    Column("created_at", Instant, nullable=False),
    Column("queued_at", Instant),
    Column("started_at", Instant),
    Column("completed_at", Instant),
    Column("runner_id", BigInteger),
    Column("runner_name", String),
    # Of the run, kept here too: dispatch reads it for every waiting job. NULL until the run is known.
    Column("fork", Boolean),
    Column("order_at", Instant),
    Column("observed_at", Instant, nullable=False),
)
Index("ix_jobs_run", jobs.c.run_id, jobs.c.attempt)
QUEUED = jobs.c.status == literal_column("'queued'")
"""Demand. Written with a literal: SQLite uses a partial index only for a condition it can read."""
NOT_OVER = jobs.c.status != literal_column("'completed'")
"""Jobs that have not completed, as far as we know."""
Index(
    "ix_jobs_queued",
    jobs.c.pool,
    jobs.c.owner,
    jobs.c.queued_at,
    jobs.c.id,
    sqlite_where=QUEUED,
    postgresql_where=QUEUED,
)
RUN_UNKNOWN = QUEUED & jobs.c.fork.is_(None)
"""Demand whose run has not been told yet."""
Index(
    "ix_jobs_run_unknown",
    jobs.c.pool,
    jobs.c.run_id,
    jobs.c.attempt,
    sqlite_where=RUN_UNKNOWN,
    postgresql_where=RUN_UNKNOWN,
)
Index("ix_jobs_not_over", jobs.c.status, jobs.c.created_at, sqlite_where=NOT_OVER, postgresql_where=NOT_OVER)

claims = Table(
    "claims",
    metadata,
    Column("id", String, primary_key=True),
    Column("job_id", BigInteger),
    Column("owner", String, nullable=False),
    Column("repository", String, nullable=False),
    Column("pool", String, nullable=False),
    Column("host", String, nullable=False),
    Column("slot", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("runner_name", String, nullable=False, unique=True),
    Column("runner_id", BigInteger),
    Column("created_at", Instant, nullable=False),
    Column("since", Instant, nullable=False),
    Column("deadline", Instant),
    Column("reason", String),
    Column("ended_at", Instant),
    Column("exit", Integer),
    Column("signal", Integer),
    Column("tail", Text),
)
# One live claim a job, one live runner a slot: two leaders by mistake still cannot double (R17).
Index("ux_claims_live_job", claims.c.job_id, unique=True, sqlite_where=LIVE_CLAIM, postgresql_where=LIVE_CLAIM)
Index(
    "ux_claims_live_slot",
    claims.c.host,
    claims.c.slot,
    unique=True,
    sqlite_where=LIVE_CLAIM,
    postgresql_where=LIVE_CLAIM,
)
# Questions about live claims (by owner, by deadline) read them all through one of these two: there are
# no more of them than slots, and an index of their own would cost every change of state an entry.
Index("ix_claims_job", claims.c.job_id)

jit_configs = Table(
    "jit_configs",
    metadata,
    # A secret until used: its row goes as soon as the runner registered (R26).
    Column("claim_id", String, primary_key=True),
    Column("config", Text, nullable=False),
)

hosts = Table(
    "hosts",
    metadata,
    Column("name", String, primary_key=True),
    Column("intent", String, nullable=False),
    Column("observed", String, nullable=False),
    Column("reason", String),
    Column("last_seen", Instant),
    Column("version", String),
    Column("boot_id", String),
    Column("seq", BigInteger, nullable=False),
    # Always empty: what stood there stands in `disks`. Versions that know no `disks` still read and write it.
    Column("disk", Json, nullable=False),
    Column("enrolled_at", Instant, nullable=False),
    # How many rows of `workspaces` and of `disks` are its: a host without any costs no look at them.
    Column("workspaces", Integer, nullable=False, server_default="0"),
    Column("disks", Integer, nullable=False, server_default="0"),
)

host_tokens = Table(
    "host_tokens",
    metadata,
    # Hashed at rest: a copy of the database opens no host (design.md section 8).
    Column("token_hash", String, primary_key=True),
    Column("host", String, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
)

enrolment_tokens = Table(
    "enrolment_tokens",
    metadata,
    # One-use tokens (with `expires_at`), and host tokens that open nothing any more: what became of
    # them is what their holder is told. Hashed at rest, like `host_tokens`.
    Column("token_hash", String, primary_key=True),
    Column("host", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("expires_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("since", Instant, nullable=False),
)
Index("ix_enrolment_tokens_host", enrolment_tokens.c.host)

slots = Table(
    "slots",
    metadata,
    Column("host", String, primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("pool", String, nullable=False),
    Column("intent", String, nullable=False),
    Column("state", String, nullable=False),
    Column("claim", String),
    # The generation of the claim that the agent knows: what a stop order must name (R32).
    Column("generation", Integer),
    Column("runner", String),
    Column("note", String),
    Column("since", Instant, nullable=False),
    # Runners in a row that failed before they served; the slot gets no claim before `rests_until` (N3).
    Column("failed_starts", Integer, nullable=False, server_default="0"),
    Column("rests_until", Instant),
)
Index("ix_slots_pool", slots.c.pool)
ADOPTED = slots.c.kind == literal_column("'adopted'")
"""Slots of persistent runners. Most fleets have none, and then a look at them costs nothing."""
Index("ix_slots_adopted", slots.c.runner, sqlite_where=ADOPTED, postgresql_where=ADOPTED)

withheld_runners = Table(
    "withheld_runners",
    metadata,
    # Adopted runners of slots that are not open: what was taken from each at GitHub, written down before it was.
    Column("host", String, primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("runner", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("since", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("owner", String, nullable=False),
    Column("repository", String, nullable=False),
    Column("runner_id", BigInteger),
    Column("labels", Json, nullable=False),
    Column("group_id", BigInteger),
    Column("reason", String),
)

workspaces = Table(
    "workspaces",
    metadata,
    # As the host's newest list of them says: what that does not name any more is gone from here too.
    Column("host", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("run_id", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("repository", String),
    # The workflow's key of the job (GITHUB_JOB): not its id at GitHub, and not unique in a matrix.
    Column("job_key", String),
    Column("runner", String),
    Column("slot", Integer),
    Column("path", String),
    Column("state", String, nullable=False),
    Column("since", Instant),
    Column("held_by", Json, nullable=False),
    Column("bytes", BigInteger),
    Column("standalone", Boolean, nullable=False),
    # The first moment that we know it for; and when the host last told something new of it.
    Column("made_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
)
Index("ix_workspaces_run", workspaces.c.run_id)

pauses = Table(
    "pauses",
    metadata,
    # Work whose runners cannot be minted for now; it backs off alone (R18, R20). An empty repository
    # or pool stands for all of the owner's.
    Column("owner", String, primary_key=True),
    Column("repository", String, primary_key=True),
    Column("pool", String, primary_key=True),
    Column("until", Instant, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("reason", String, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),
    # What the act is: the same act asked for twice is one row.
    Column("idempotency_key", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("generation", Integer),
    Column("payload", Json, nullable=False),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("done_at", Instant),
    Column("result", String),
    UniqueConstraint("idempotency_key", name="uq_outbox_idempotency_key"),
)
PENDING = outbox.c.state == literal_column("'pending'")
"""Acts that wait to be performed."""
Index("ix_outbox_due", outbox.c.not_before, outbox.c.id, sqlite_where=PENDING, postgresql_where=PENDING)

journal = Table(
    "journal",
    metadata,
    # The order of commits: several control planes write here, each with a clock of its own.
    Column("seq", COUNTER, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("at", Instant, nullable=False),
    Column("actor", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("subject_kind", String, nullable=False),
    Column("subject_id", String, nullable=False),
    Column("generation", Integer),
    Column("from_state", String),
    Column("to_state", String),
    Column("reason", String, nullable=False),
    Column("mode", String, nullable=False),
    Column("evidence", Json, nullable=False),
    Column("job_id", BigInteger),
    Column("host", String),
)
Index(
    "ix_journal_host",
    journal.c.host,
    journal.c.seq,
    sqlite_where=journal.c.host.is_not(None),
    postgresql_where=journal.c.host.is_not(None),
)
Index(
    "ix_journal_job",
    journal.c.job_id,
    journal.c.seq,
    sqlite_where=journal.c.job_id.is_not(None),
    postgresql_where=journal.c.job_id.is_not(None),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

nudges = Table(
    "nudges",
    metadata,
    # PostgreSQL only: what each replica last woke, for the poll behind NOTIFY.
    Column("name", String, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("replica", String, nullable=False),
)

budgets = Table(
    "budgets",
    metadata,
    # Quotas at GitHub as the leader knows them: a successor keeps away from what was refused.
    Column("account", String, primary_key=True),
    Column("resource", String, primary_key=True),
    Column("owners", Json, nullable=False),
    Column("limit", Integer),
    Column("remaining", Integer),
    Column("reserve", Integer, nullable=False),
    Column("resets_at", Instant),
    Column("used", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("degraded", String),
    Column("until", Instant),
    Column("held", Boolean, nullable=False),
    # By the clock that dated the rest: it may have been wrong. None: written by a version that did not note it.
    Column("noted_at", Instant),
)

rails = Table(
    "rails",
    metadata,
    # What the operator switched, kept over restarts, and what of the cap of this tick is used.
    Column("rail", String, primary_key=True),
    # act, observe or off; NULL: nobody switched it, so `[rails] mode` holds.
    Column("switch", String),
    Column("reason", String),
    Column("switched_at", Instant),
    Column("tick_at", Instant),
    Column("acts", Integer, nullable=False),
    # When the cap was reached last; when the event that it belongs to began; what the cap was.
    Column("full_at", Instant),
    Column("capped_at", Instant),
    Column("cap", Integer),
)

registrations = Table(
    "registrations",
    metadata,
    # GitHub's list of runners as it was read last, of ours only. An empty repository: at the organisation.
    Column("owner", String, primary_key=True),
    Column("repository", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("runner_id", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    Column("busy", Boolean, nullable=False),
    # How many reads in a row showed it so, since when, and when the last one was (R30).
    Column("since", Instant, nullable=False),
    Column("reads", Integer, nullable=False),
    Column("read_at", Instant, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", String, primary_key=True),
    Column("code", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("state", String, nullable=False),
    Column("title", String, nullable=False),
    Column("subject_kind", String, nullable=False),
    Column("subject_id", String, nullable=False),
    Column("caused_by", String),
    Column("opened_at", Instant, nullable=False),
    Column("since", Instant, nullable=False),
    Column("deadline", Instant),
    Column("closed_at", Instant),
    Column("jobs", Json, nullable=False),
    Column("repositories", Json, nullable=False),
    Column("evidence", Json, nullable=False),
)
NOT_CLOSED = incidents.c.state != literal_column("'closed'")
"""Incidents that are open or easing."""
# One incident a cause and subject: two leaders by mistake still cannot open it twice (R36).
Index(
    "ux_incidents_live",
    incidents.c.code,
    incidents.c.subject_kind,
    incidents.c.subject_id,
    unique=True,
    sqlite_where=NOT_CLOSED,
    postgresql_where=NOT_CLOSED,
)
