"""What the page needs besides transcripts: the outlines of recordings, and the text of transcripts to be searched."""

import json
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "r0008"
down_revision = "r0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "waveforms",
        _of_job(),
        sa.Column("peak_secs", sa.Double, nullable=False),
        sa.Column("peaks", sa.LargeBinary, nullable=False),
    )
    texts = op.create_table(
        "texts",
        _of_job(),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("folded", sa.Text, nullable=False),
    )
    _fill(op.get_bind(), texts)


def _of_job() -> sa.Column[str]:
    return sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)


def _fill(db: sa.Connection, texts: sa.Table) -> None:
    """The transcripts that are stored already; one at a time, because each may be megabytes."""
    results = sa.table("results", sa.column("job_id"), sa.column("segments"))
    for job_id in db.scalars(sa.select(results.c.job_id)).all():
        segments = json.loads(db.scalar(sa.select(results.c.segments).where(results.c.job_id == job_id)) or b"[]")
        spoken = " ".join(segment["text"] for segment in segments)
        text = " ".join(unicodedata.normalize("NFC", spoken).split())
        db.execute(sa.insert(texts), {"job_id": job_id, "text": text, "folded": "".join(map(_folded, text))})


def _folded(letter: str) -> str:
    plain = unicodedata.normalize("NFKD", letter)[0].casefold()
    return plain if len(plain) == 1 else letter
