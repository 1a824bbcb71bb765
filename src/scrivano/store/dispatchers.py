"""What dispatchers tell servers about their models, and what servers ask of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, func, insert, select

from scrivano.store.database import Database
from scrivano.store.tables import dispatchers, model_requests

__all__ = ["DispatcherStore", "ModelAction", "ModelRequest", "Report"]

# A dispatcher that did not read a request after so long does not exist.
REQUEST_S = 600.0

ModelAction = Literal["load", "unload"]


@dataclass(frozen=True, slots=True)
class Report:
    """The models of a dispatcher that lives. `age_s`: how long ago it said so."""

    dispatcher: str
    models: Mapping[str, Any]
    age_s: float


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """`model` None: the default one to load, or all to unload."""

    seq: int
    action: ModelAction
    model: str | None


class DispatcherStore:
    """Any thread may call. Raises `DatabaseUnreachable`, `StorageFull`. `on_change` is called after a commit."""

    def __init__(self, database: Database, now: Callable[[], datetime], on_change: Callable[[], None]) -> None:
        self._database = database
        self._now = now
        self._on_change = on_change

    def report(self, dispatcher: str, models: Mapping[str, Any], *, lives_s: float, changed: bool) -> None:
        """Take the place of the last report. The dispatcher counts as ended `lives_s` later."""
        now = self._now()
        row = {"id": dispatcher, "models": dict(models), "reported_at": now}
        with self._database.write() as db:
            db.execute(delete(dispatchers).where((dispatchers.c.id == dispatcher) | (dispatchers.c.expires_at < now)))
            db.execute(insert(dispatchers), {**row, "expires_at": now + timedelta(seconds=lives_s)})
        if changed:
            self._on_change()

    def withdraw(self, dispatcher: str) -> None:
        """The dispatcher ends."""
        with self._database.write() as db:
            db.execute(delete(dispatchers).where(dispatchers.c.id == dispatcher))
        self._on_change()

    def reports(self) -> Sequence[Report]:
        now = self._now()
        with self._database.read() as db:
            rows = db.execute(select(dispatchers).where(dispatchers.c.expires_at >= now).order_by(dispatchers.c.id))
            return [Report(row.id, row.models, max(0.0, (now - row.reported_at).total_seconds())) for row in rows]

    def request(self, action: ModelAction, model: str | None) -> None:
        """Ask all dispatchers."""
        now = self._now()
        with self._database.write() as db:
            db.execute(delete(model_requests).where(model_requests.c.created_at < now - timedelta(seconds=REQUEST_S)))
            db.execute(insert(model_requests), {"action": action, "model": model, "created_at": now})
        self._on_change()

    def last_request(self) -> int:
        """The number of the newest request; 0: there is none."""
        with self._database.read() as db:
            return db.scalar(select(func.max(model_requests.c.seq))) or 0

    def requests_after(self, seq: int) -> Sequence[ModelRequest]:
        query = select(model_requests).where(model_requests.c.seq > seq).order_by(model_requests.c.seq)
        with self._database.read() as db:
            return [ModelRequest(row.seq, row.action, row.model) for row in db.execute(query)]
