"""What webhook deliveries tell of themselves, whose host they go to, and the trace that a job belongs to."""

from urllib.parse import urlsplit

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("traceparent", sa.String(64)))
    op.add_column("deliveries", sa.Column("host", sa.Text, nullable=False, server_default=""))
    op.add_column("deliveries", sa.Column("last_status", sa.Integer))
    op.add_column("deliveries", sa.Column("attempted_at", sa.DateTime))
    _name_hosts()
    op.create_index("deliveries_by_job", "deliveries", ["job_id"])
    op.create_index("deliveries_by_age", "deliveries", ["created_at", "id"])


def _name_hosts() -> None:
    """Those of deliveries that are still to be made; nobody asks for the others'."""
    deliveries = sa.table("deliveries", sa.column("url"), sa.column("host"), sa.column("status"))
    pending = deliveries.c.status == "pending"
    db = op.get_bind()
    for url in db.scalars(sa.select(deliveries.c.url).where(pending).distinct()).all():
        named = sa.update(deliveries).where(pending, deliveries.c.url == url)
        db.execute(named.values(host=urlsplit(url).netloc.rpartition("@")[2].lower()))
