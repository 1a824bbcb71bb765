"""Whose a job is, and how much audio each API key has had decoded."""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("owner", sa.String(32)))
    op.create_index("jobs_by_owner", "jobs", ["owner", "created_at"])
    op.create_table(
        "usage",
        sa.Column("owner", sa.String(32), primary_key=True),
        sa.Column("hour", sa.DateTime, primary_key=True),
        sa.Column("audio_secs", sa.Double, nullable=False),
    )
