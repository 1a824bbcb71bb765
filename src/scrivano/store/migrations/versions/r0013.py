"""What several servers share: who sends a webhook now, how many requests a key has left, secrets."""

import sqlalchemy as sa
from alembic import op

revision = "r0013"
down_revision = "r0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("claimed_until", sa.DateTime))
    op.create_table(
        "buckets",
        sa.Column("owner", sa.String(32), primary_key=True),
        sa.Column("tokens", sa.Double, nullable=False),
        sa.Column("filled_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
