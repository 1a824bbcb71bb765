"""The voices in each chunk, and the speakers of a job."""

import sqlalchemy as sa
from alembic import op

revision = "r0009"
down_revision = "r0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("chunks", sa.Column("voices", sa.LargeBinary))
    op.add_column("jobs", sa.Column("speakers", sa.JSON))
    op.create_table(
        "diarizations",
        sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("turns", sa.JSON, nullable=False),
        sa.Column("centres", sa.JSON, nullable=False),
    )
