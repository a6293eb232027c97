"""Filesystems as hosts tell of them, what was deleted there, and what jobs write. Nothing is known of them before."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "disks",
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("mount", sa.String(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("free", sa.BigInteger(), nullable=False),
        sa.Column("inodes", sa.BigInteger(), nullable=False),
        sa.Column("inodes_free", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("admits", sa.Boolean(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.Column("full_in_s", sa.BigInteger(), nullable=True),
        sa.Column("slots", sa.Text(), nullable=False),
        sa.Column("classes", sa.Text(), nullable=False),
        sa.Column("pinned", sa.Text(), nullable=False),
        sa.Column("passes", sa.Text(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.Column("level_since", sa.BigInteger(), nullable=False),
        sa.Column("short_since", sa.BigInteger(), nullable=True),
        sa.Column("sampled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("host", "mount", name=op.f("pk_disks")),
    )
    op.create_table(
        "disk_samples",
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("mount", sa.String(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("free", sa.BigInteger(), nullable=False),
        sa.Column("classes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("at", "host", "mount", name=op.f("pk_disk_samples")),
    )
    with op.batch_alter_table("disk_samples", schema=None) as batch_op:
        batch_op.create_index("ix_disk_samples_host", ["host", "mount", "at"])
    op.create_table(
        "deletions",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("path_class", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("lease", sa.String(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_deletions")),
        sa.UniqueConstraint("host", "id", name=op.f("uq_deletions_host_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("deletions", schema=None) as batch_op:
        batch_op.create_index("ix_deletions_host", ["host", "seq"])
        batch_op.create_index(
            "ix_deletions_foreign",
            ["told_at"],
            sqlite_where=sa.text("actor = 'foreign'"),
            postgresql_where=sa.text("actor = 'foreign'"),
        )
    op.create_table(
        "growth_samples",
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("lease", sa.String(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("job_key", sa.String(), nullable=False),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("host", "lease", name=op.f("pk_growth_samples")),
    )
    with op.batch_alter_table("growth_samples", schema=None) as batch_op:
        batch_op.create_index("ix_growth_samples_kind", ["pool", "repository", "job_key", "at"])
        batch_op.create_index("ix_growth_samples_at", ["at", "host", "lease"])
        batch_op.create_index("ix_growth_samples_pool", ["pool", "at"])
    op.create_table(
        "growth",
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("job_key", sa.String(), nullable=False),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("p95", sa.BigInteger(), nullable=False),
        sa.Column("sizes", sa.Integer(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("learnt_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("repository", "job_key", "pool", name=op.f("pk_growth")),
    )
    # Added in place on both databases: no row is copied, and no program has to stop for it.
    op.add_column("hosts", sa.Column("disks", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    raise NotImplementedError("Andon's migrations go forward only; restore a backup instead.")
