"""Slots that rest after failed starts. Rows that are there have failed at nothing and do not rest."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Columns are added in place on both databases: no row is copied, and no program has to stop for it.
    op.add_column("slots", sa.Column("failed_starts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("slots", sa.Column("rests_until", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("Andon's migrations go forward only; restore a backup instead.")
