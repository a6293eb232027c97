"""The compile caches of a host, with the filesystem they lie on. None is known before its host tells of it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Added in place on both databases: no row is copied, and no program has to stop for it.
    op.add_column("disks", sa.Column("caches", sa.Text(), server_default="[]", nullable=False))


def downgrade() -> None:
    raise NotImplementedError("Andon's migrations go forward only; restore a backup instead.")
