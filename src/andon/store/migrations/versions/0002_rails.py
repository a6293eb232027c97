"""Rails: the operator's switches, and what of each cap is used."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rails",
        sa.Column("rail", sa.String(), nullable=False),
        sa.Column("switch", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("switched_at", sa.BigInteger(), nullable=True),
        sa.Column("tick_at", sa.BigInteger(), nullable=True),
        sa.Column("acts", sa.Integer(), nullable=False),
        sa.Column("full_at", sa.BigInteger(), nullable=True),
        sa.Column("capped_at", sa.BigInteger(), nullable=True),
        sa.Column("cap", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("rail", name=op.f("pk_rails")),
    )


def downgrade() -> None:
    raise NotImplementedError("Andon's migrations go forward only; restore a backup instead.")
