"""What servers that share a database must agree on: secrets, and how many requests a key has left."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import insert, select, update

from scrivano.auth.rate_limiter import Bucket
from scrivano.store.database import Database
from scrivano.store.tables import buckets
from scrivano.store.tables import secrets as secrets_table

__all__ = ["SharedBuckets", "shared_secret"]

SECRET_BYTES = 32


def shared_secret(database: Database, name: str) -> bytes:
    """Random bytes, the same for all servers and after every start."""
    query = select(secrets_table.c.value).where(secrets_table.c.name == name)
    with database.write() as db:
        database.lock(db, f"secret {name}")
        found: bytes | None = db.scalar(query)
        if found is None:
            found = secrets.token_bytes(SECRET_BYTES)
            db.execute(insert(secrets_table), {"name": name, "value": found})
    return found


class SharedBuckets:
    """A token bucket for each key, for all servers together. Calls block."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def take(self, key_id: str, per_minute: int) -> float:
        """Count a request and return 0, or, if the bucket is empty, return the seconds until a request is allowed."""
        bucket = buckets.c.owner == key_id
        with self._database.write() as db:
            self._database.lock(db, f"bucket {key_id}")
            now = self._now()
            row = db.execute(select(buckets.c.tokens, buckets.c.filled_at).where(bucket)).one_or_none()
            passed_s = 0.0 if row is None else max(0.0, (now - row.filled_at).total_seconds())
            left, wait_s = Bucket(per_minute if row is None else row.tokens).take(passed_s, per_minute)
            values = {"tokens": left.tokens, "filled_at": now}
            if row is None:
                db.execute(insert(buckets), {"owner": key_id, **values})
            else:
                db.execute(update(buckets).where(bucket).values(values))
        return wait_s
