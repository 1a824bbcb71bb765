"""The current tables. `migrations/versions/` has their history and their constraints."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from scrivano.domain.job import JobStatus, Task

__all__ = [
    "TABLES",
    "Utc",
    "buckets",
    "chunks",
    "deliveries",
    "diarizations",
    "dispatchers",
    "events",
    "jobs",
    "known_voices",
    "model_requests",
    "results",
    "secrets",
    "texts",
    "uploads",
    "usage",
    "voices",
    "waveforms",
]


class Utc(sa.TypeDecorator[datetime]):
    """An aware datetime, stored as UTC without an offset: SQLite has no time zones."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


def _enum(kind: type[JobStatus] | type[Task]) -> sa.Enum:
    return sa.Enum(
        kind, native_enum=False, create_constraint=False, length=16, values_callable=lambda e: [m.value for m in e]
    )


TABLES = sa.MetaData()

jobs = sa.Table(
    "jobs",
    TABLES,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("status", _enum(JobStatus)),
    sa.Column("task", _enum(Task)),
    sa.Column("language", sa.String(16)),
    sa.Column("progress", sa.Integer),
    sa.Column("duration_secs", sa.Double),
    sa.Column("error", sa.Text),
    sa.Column("error_code", sa.String(64)),
    sa.Column("webhook_url", sa.Text),
    sa.Column("filename", sa.Text),
    sa.Column("options", sa.JSON),
    sa.Column("created_at", Utc),
    sa.Column("completed_at", Utc),
    sa.Column("attempt", sa.Integer),
    sa.Column("lease_expires_at", Utc),
    sa.Column("chunks_total", sa.Integer),  # null until the plan is complete
    sa.Column("audio_sha256", sa.String(64)),
    sa.Column("audio_bytes", sa.BigInteger),
    sa.Column("idempotency_key", sa.String(255), unique=True),  # see `idempotency`: contains the owner, if any
    sa.Column("traceparent", sa.String(64)),
    sa.Column("request_sha256", sa.String(64)),  # see `idempotency`; `language` as requested, not as detected
    sa.Column("owner", sa.String(32)),  # the API key that submitted the job; null: none
    sa.Column("audio", sa.JSON),  # the audio track that was read; null until the plan is complete
    sa.Column("warnings", sa.JSON),  # about the recording; null until the plan is complete
    sa.Column("quality", sa.JSON),  # of the transcript; null until the job is done
    sa.Column("decoded_by", sa.Text),  # the model that made the transcript; null until the job is done
    sa.Column("version", sa.Integer),  # see `versions`; null: the job was never transcribed again
    sa.Column("version_of", sa.String(64)),  # the job that this row is a version of; null: it is a job
    sa.Column("speakers", sa.JSON),  # [{id, name, seconds}, ...]; null until they are known
)

# Not in `jobs`, because SQLite reads through the megabytes of a row to reach columns that a later revision adds.
results = sa.Table(
    "results",
    TABLES,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("segments", sa.LargeBinary),  # the JSON array as served
)

# The transcripts of done jobs, to be searched: `folded` is `text` in lower case and without accents.
texts = sa.Table(
    "texts",
    TABLES,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("text", sa.Text),
    sa.Column("folded", sa.Text),
)

# The outline of a recording, for pages that draw it; there is none for jobs of earlier versions.
waveforms = sa.Table(
    "waveforms",
    TABLES,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("peak_secs", sa.Double),
    sa.Column("peaks", sa.LargeBinary),  # one byte each
)

chunks = sa.Table(
    "chunks",
    TABLES,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("idx", sa.Integer, primary_key=True),
    sa.Column("pieces", sa.JSON),  # [[start, end], ...] in samples
    sa.Column("audio_secs", sa.Double),
    sa.Column("crashes", sa.Integer),
    sa.Column("result", sa.LargeBinary),  # null until decoded
    sa.Column("voices", sa.LargeBinary),  # null until found
    sa.Column("side", sa.Integer),  # null: the recording is not split into sides
)

# Vectors of voices are data about people's bodies: nothing outside of the server ever gets `centres`.
diarizations = sa.Table(
    "diarizations",
    TABLES,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("turns", sa.JSON),  # [[start, end, speaker], ...], ordered by time
    sa.Column("centres", sa.JSON),  # {speaker: base64 of the voice's vector}
)

# Like `centres`, they leave the server in no form.
voices = sa.Table(
    "voices",
    TABLES,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(32)),  # the API key that enrolled it; null: none
    sa.Column("name", sa.Text),
    sa.Column("centre", sa.LargeBinary),  # the voice's vector
    sa.Column("created_at", Utc),
)

# Voices that came with a job, and their names: its speakers are compared with them.
known_voices = sa.Table(
    "known_voices",
    TABLES,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("centre", sa.LargeBinary),  # the voice's vector
)

events = sa.Table(
    "events",
    TABLES,
    sa.Column("job_id", sa.String(64), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("type", sa.String(64)),
    sa.Column("data", sa.JSON),
    sa.Column("created_at", Utc),
)

deliveries = sa.Table(
    "deliveries",
    TABLES,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("url", sa.Text),
    sa.Column("job_id", sa.String(64)),
    sa.Column("kind", sa.String(64)),
    sa.Column("payload", sa.LargeBinary),  # null: the job, rendered when it is sent
    sa.Column("status", sa.String(16)),  # pending, delivered, failed, gone
    sa.Column("attempts", sa.Integer),
    sa.Column("next_attempt_at", Utc),
    sa.Column("last_error", sa.Text),
    sa.Column("created_at", Utc),
    sa.Column("delivered_at", Utc),
    sa.Column("host", sa.Text),  # with the port, in lower case
    sa.Column("last_status", sa.Integer),  # of the last response; null: the last attempt had none
    sa.Column("attempted_at", Utc),
    sa.Column("claimed_until", Utc),  # a server sends it now; null: none does, or the database is not shared
)

uploads = sa.Table(
    "uploads",
    TABLES,
    sa.Column("id", sa.String(64), primary_key=True),  # also the id of the job that it becomes
    sa.Column("owner", sa.String(64)),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("offset_bytes", sa.BigInteger),  # on disk, fsynced; bytes beyond are ignored
    sa.Column("metadata", sa.Text),  # the client's Upload-Metadata
    sa.Column("created_at", Utc),
    sa.Column("expires_at", Utc),
    sa.Column("job_id", sa.String(64)),  # null until it is complete; stays when the job is deleted
)

# Not counted from `jobs`, because deleting a job must not give its hours back.
usage = sa.Table(
    "usage",
    TABLES,
    sa.Column("owner", sa.String(32), primary_key=True),
    sa.Column("hour", Utc, primary_key=True),  # start of the hour
    sa.Column("audio_secs", sa.Double),  # decoded, of jobs that ended in this hour
)

# Requests that each API key may still make at once; used by servers that share the database.
buckets = sa.Table(
    "buckets",
    TABLES,
    sa.Column("owner", sa.String(32), primary_key=True),
    sa.Column("tokens", sa.Double),
    sa.Column("filled_at", Utc),
)

# What servers that share the database must have in common.
secrets = sa.Table(
    "secrets",
    TABLES,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.LargeBinary),
)

# Which dispatchers run, and the state of their models.
dispatchers = sa.Table(
    "dispatchers",
    TABLES,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("models", sa.JSON),  # {model: see `running.model_reports`}
    sa.Column("reported_at", Utc),
    sa.Column("expires_at", Utc),
)

# What servers ask of all dispatchers.
model_requests = sa.Table(
    "model_requests",
    TABLES,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("action", sa.String(16)),  # load, unload
    sa.Column("model", sa.Text),
    sa.Column("created_at", Utc),
)
