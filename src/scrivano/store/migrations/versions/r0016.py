"""Jobs by class, on PostgreSQL: a job of a class that few have must not be looked for among all that wait."""

from alembic import op
from sqlalchemy import text

revision = "r0016"
down_revision = "r0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":  # a server with a file has its queue in memory
        priority = text("coalesce(options ->> 'priority', 'normal')")
        op.create_index("jobs_by_class", "jobs", ["status", priority, "created_at", "id"])
