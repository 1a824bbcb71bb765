"""What was found out about a job's recording."""

import sqlalchemy as sa
from alembic import op

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("audio", sa.JSON))
    op.add_column("jobs", sa.Column("warnings", sa.JSON))
