"""What lists of many jobs are read by: the time at which they came, and that at which they ended."""

from alembic import op

revision = "r0010"
down_revision = "r0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("jobs_by_age", "jobs", ["created_at", "id"])
    op.create_index("jobs_by_end", "jobs", ["completed_at", "id"])
