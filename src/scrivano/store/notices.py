"""Servers that share a PostgreSQL tell each other what has changed: LISTEN and NOTIFY, and a poll where that is lost.

A notice says only that there is something to read in the database. One that is lost, because a connection or a server
ends, costs the time until the next poll.
"""

from __future__ import annotations

import json
import logging
import os
import select
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from scrivano.store.event_log import last_seqs
from scrivano.store.postgres import PostgresDatabase

__all__ = ["NoticeHandlers", "Notices", "OutgoingNotices"]

logger = logging.getLogger(__name__)

CHANNEL = "scrivano"

# The net under the notices.
POLL_S = 1.5
# PostgreSQL commits transactions with a NOTIFY one after the other, so that many changes become one notice.
INTERVAL_S = 0.25
RECONNECT_S = 1.0
# A payload has less than 8000 bytes, an id of a job about 40.
MAX_IDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeHandlers:
    """Called on a thread of their own, with what other servers have done. They return soon.

    `changed`: the event log of a job has grown. `cancelled`: a job was cancelled. `look`: jobs may wait to be claimed.
    `models`: what dispatchers or servers say about models has changed. `deliveries`: webhooks may wait to be sent.
    `watched`: the jobs whose changes somebody waits for.
    """

    changed: Callable[[str], None]
    cancelled: Callable[[str], None]
    look: Callable[[], None]
    models: Callable[[], None]
    deliveries: Callable[[], None]
    watched: Callable[[], Collection[str]]


@dataclass(slots=True)
class _Pending:
    """What is to be told to the others. Ordered sets."""

    changed: dict[str, None] = field(default_factory=dict)
    cancelled: dict[str, None] = field(default_factory=dict)
    queued: bool = False
    models: bool = False
    deliveries: bool = False

    def __bool__(self) -> bool:
        return bool(self.changed or self.cancelled or self.queued or self.models or self.deliveries)

    def payloads(self) -> Sequence[Mapping[str, Any]]:
        changed, cancelled = list(self.changed), list(self.cancelled)
        parts = range(0, max(len(changed), len(cancelled), 1), MAX_IDS)
        return [
            {
                "changed": changed[at : at + MAX_IDS],
                "cancelled": cancelled[at : at + MAX_IDS],
                "queued": self.queued and at == 0,
                "models": self.models and at == 0,
                "deliveries": self.deliveries and at == 0,
            }
            for at in parts
        ]


class OutgoingNotices:
    """What this server has done, until its thread tells the others. Any thread may call; nothing waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending = _Pending()
        # Readable when there is something to tell.
        self.woken, self._wake_end = os.pipe()
        os.set_blocking(self.woken, False)
        os.set_blocking(self._wake_end, False)

    def changed(self, job_id: str) -> None:
        """The event log of a job has grown."""
        with self._lock:
            self._pending.changed[job_id] = None
        self.wake()

    def cancelled(self, job_id: str) -> None:
        with self._lock:
            self._pending.cancelled[job_id] = None
        self.wake()

    def queued(self) -> None:
        """A job waits to be claimed."""
        with self._lock:
            self._pending.queued = True
        self.wake()

    def models(self) -> None:
        """Something about models is to be read."""
        with self._lock:
            self._pending.models = True
        self.wake()

    def deliveries(self) -> None:
        """Webhooks wait to be sent, and this process sends none."""
        with self._lock:
            self._pending.deliveries = True
        self.wake()

    def wake(self) -> None:
        with suppress(BlockingIOError):  # it is full, so that it wakes in any case
            os.write(self._wake_end, b".")

    def clear_wake(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.woken, 65536)

    def __bool__(self) -> bool:
        return bool(self._pending)

    def take(self) -> Sequence[Mapping[str, Any]]:
        with self._lock:
            pending, self._pending = self._pending, _Pending()
        return pending.payloads() if pending else ()

    def close(self) -> None:
        os.close(self.woken)
        os.close(self._wake_end)


class Notices:
    """One connection and one thread of a server: sends what is in `outgoing`, and hears what others send."""

    def __init__(self, database: PostgresDatabase, outgoing: OutgoingNotices, handlers: NoticeHandlers) -> None:
        self._database = database
        self._outgoing = outgoing
        self._handlers = handlers
        self._server = uuid.uuid4().hex
        self._seqs: dict[str, int] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """What is in `outgoing` is sent first."""
        self._stopping = True
        self._outgoing.wake()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping:
            try:
                with self._database.listen(CHANNEL) as connection:
                    self._seqs.clear()  # what was missed is seen by the first poll
                    self._serve(connection)
            except Exception as error:  # Whatever happens to the connection, the next one may work.
                logger.warning("no notices of other servers: %s; connecting again", str(error).partition("\n")[0])
                time.sleep(RECONNECT_S)
        with suppress(Exception):
            self._send()

    def _serve(self, connection: Any) -> None:
        poll_at = send_at = 0.0
        while not self._stopping:
            now = time.monotonic()
            if now >= poll_at:
                self._poll()
                poll_at = now + POLL_S
            if self._outgoing and now >= send_at:
                self._send()
                send_at = now + INTERVAL_S
            until = min(poll_at, send_at) if self._outgoing else poll_at
            woken = self._outgoing.woken
            select.select([connection.fileno(), woken], [], [], max(0.0, until - time.monotonic()))
            self._outgoing.clear_wake()
            connection.pgconn.consume_input()
            while (notice := connection.pgconn.notifies()) is not None:
                self._receive(notice.extra)

    def _receive(self, payload: bytes) -> None:
        notice = json.loads(payload)
        if notice["from"] == self._server:
            return
        for job_id in notice["cancelled"]:
            self._handlers.cancelled(job_id)
        for job_id in notice["changed"]:
            self._handlers.changed(job_id)
        if notice["queued"]:
            self._handlers.look()
        if notice.get("models"):  # an older server does not say it
            self._handlers.models()
        if notice.get("deliveries"):
            self._handlers.deliveries()

    def _send(self) -> None:
        payloads = self._outgoing.take()
        if payloads:
            with self._database.read() as db:
                for payload in payloads:
                    text = json.dumps({"from": self._server, **payload})
                    db.execute(sa.select(sa.func.pg_notify(CHANNEL, text)))

    def _poll(self) -> None:
        self._database.set_clock()
        self._handlers.look()
        watched = self._handlers.watched()
        if not watched:
            self._seqs.clear()
            return
        with self._database.read() as db:
            seqs = last_seqs(db, watched)
        for job_id, seq in seqs.items():
            if self._seqs.get(job_id) != seq:
                self._handlers.changed(job_id)
        self._seqs = seqs
