"""The tables of the disk guard: filesystems as hosts tell of them, what was deleted there, and what jobs write."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, UniqueConstraint, literal_column

from andon.store.columns import Instant, Json
from andon.store.metadata import COUNTER, metadata

disks = Table(
    "disks",
    metadata,
    # As the host's newest list of its filesystems says: what that does not name any more is gone from here too.
    Column("host", String, primary_key=True),
    Column("mount", String, primary_key=True),
    Column("total", BigInteger, nullable=False),
    Column("free", BigInteger, nullable=False),
    Column("inodes", BigInteger, nullable=False),
    Column("inodes_free", BigInteger, nullable=False),
    Column("level", String, nullable=False),
    Column("admits", Boolean, nullable=False),
    Column("floor", BigInteger, nullable=False),
    Column("full_in_s", BigInteger),
    Column("slots", Json, nullable=False),
    Column("classes", Json, nullable=False),
    Column("pinned", Json, nullable=False),
    Column("passes", Json, nullable=False),
    Column("caches", Json, nullable=False, server_default="[]"),
    Column("told_at", Instant, nullable=False),
    Column("level_since", Instant, nullable=False),
    # Since when it is at its hard mark or worse; NULL: it is not.
    Column("short_since", Instant),
    # When the newest of its samples was kept.
    Column("sampled_at", Instant),
)

disk_samples = Table(
    "disk_samples",
    metadata,
    # One in ten minutes of each filesystem. The time comes first, so that old ones are found without an index.
    Column("at", Instant, primary_key=True),
    Column("host", String, primary_key=True),
    Column("mount", String, primary_key=True),
    Column("total", BigInteger, nullable=False),
    Column("free", BigInteger, nullable=False),
    # By class, its bytes; a class that nobody has measured is not in it.
    Column("classes", Json, nullable=False),
)
Index("ix_disk_samples_host", disk_samples.c.host, disk_samples.c.mount, disk_samples.c.at)

deletions = Table(
    "deletions",
    metadata,
    Column("seq", COUNTER, primary_key=True, autoincrement=True),
    Column("host", String, nullable=False),
    # The host's own; told again, it is the same deletion.
    Column("id", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("told_at", Instant, nullable=False),
    Column("path", String, nullable=False),
    Column("path_class", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("bytes", BigInteger),
    Column("lease", String),
    Column("evidence", Json, nullable=False),
    UniqueConstraint("host", "id"),
    sqlite_autoincrement=True,
)
FOREIGN_DELETION = deletions.c.actor == literal_column("'foreign'")
"""Deletions that were not ours."""
Index("ix_deletions_host", deletions.c.host, deletions.c.seq)
Index(
    "ix_deletions_foreign",
    deletions.c.told_at,
    sqlite_where=FOREIGN_DELETION,
    postgresql_where=FOREIGN_DELETION,
)

growth_samples = Table(
    "growth_samples",
    metadata,
    # What one job wrote, by its workspace: the newest of each kind of job.
    Column("host", String, primary_key=True),
    Column("lease", String, primary_key=True),
    Column("repository", String, nullable=False),
    Column("job_key", String, nullable=False),
    Column("pool", String, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
)
Index(
    "ix_growth_samples_kind",
    growth_samples.c.pool,
    growth_samples.c.repository,
    growth_samples.c.job_key,
    growth_samples.c.at,
)
# So that old ones are found without a walk over all.
Index("ix_growth_samples_at", growth_samples.c.at, growth_samples.c.host, growth_samples.c.lease)
Index("ix_growth_samples_pool", growth_samples.c.pool, growth_samples.c.at)

growth = Table(
    "growth",
    metadata,
    # What a kind of job is expected to write; with an empty repository and key, any job of the pool.
    Column("repository", String, primary_key=True),
    Column("job_key", String, primary_key=True),
    Column("pool", String, primary_key=True),
    Column("p95", BigInteger, nullable=False),
    Column("sizes", Integer, nullable=False),
    # As GitHub calls its jobs: those that wait are known by that name alone.
    Column("names", Json, nullable=False),
    Column("learnt_at", Instant, nullable=False),
)
