"""Versions: further transcripts of the recording of a job that is done, with another model or other options."""

import sqlalchemy as sa
from alembic import op

revision = "r0006"
down_revision = "r0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("decoded_by", sa.Text))
    op.add_column("jobs", sa.Column("version", sa.Integer))
    op.add_column("jobs", sa.Column("version_of", sa.String(64)))
    op.create_index("jobs_by_version", "jobs", ["version_of", "version"], unique=True)
