"""Dispatchers: the state of their models, and what servers ask of them."""

import sqlalchemy as sa
from alembic import op

revision = "r0014"
down_revision = "r0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dispatchers",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("reported_at", sa.DateTime, nullable=False),
        sa.Column("expires_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "model_requests",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
