"""When each budget was noted, so that a successor with another clock knows how long was left."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("budgets", sa.Column("noted_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("Andon's migrations go forward only; restore a backup instead.")
