"""Jobs, chunks, events, results and webhook deliveries."""

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _jobs()
    _parts_of_a_job()
    _deliveries()


def _of_job(*, primary_key: bool = True, nullable: bool = False) -> sa.Column[str]:
    owner = sa.ForeignKey("jobs.id", ondelete="CASCADE")
    return sa.Column("job_id", sa.String(64), owner, primary_key=primary_key, nullable=nullable)


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("task", sa.String(16), nullable=False),
        sa.Column("language", sa.String(16)),
        sa.Column("progress", sa.Integer, nullable=False),
        sa.Column("duration_secs", sa.Double),
        sa.Column("error", sa.Text),
        sa.Column("error_code", sa.String(64)),
        sa.Column("webhook_url", sa.Text),
        sa.Column("filename", sa.Text),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("completed_at", sa.DateTime),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("lease_expires_at", sa.DateTime),
        sa.Column("chunks_total", sa.Integer),
        sa.Column("audio_sha256", sa.String(64), nullable=False),
        sa.Column("audio_bytes", sa.BigInteger, nullable=False),
        sa.Column("idempotency_key", sa.String(255), unique=True),
        sa.Column("request_sha256", sa.String(64), nullable=False),
    )
    op.create_index("jobs_by_status", "jobs", ["status", "created_at"])


def _parts_of_a_job() -> None:
    op.create_table(
        "results",
        _of_job(),
        sa.Column("segments", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "chunks",
        _of_job(),
        sa.Column("idx", sa.Integer, primary_key=True),
        sa.Column("pieces", sa.JSON, nullable=False),
        sa.Column("audio_secs", sa.Double, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("result", sa.LargeBinary),
    )
    op.create_table(
        "events",
        _of_job(),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        _of_job(primary_key=False, nullable=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_attempt_at", sa.DateTime, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("delivered_at", sa.DateTime),
    )
    op.create_index("deliveries_by_due_time", "deliveries", ["status", "next_attempt_at"])
