"""Whom a log line concerns: the request and the job in hand, wherever deep in the code the line is written."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["CURRENT", "Correlation", "concerns", "request_id"]

# What a client may call its request: nothing that a log, a shell or a header reads as something else.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")


@dataclass(slots=True)
class Correlation:
    """One request, or one call that the server makes. Shared by its threads and tasks, so that each sees what another
    has found out. `traceparent`: the span under which what is begun here belongs (W3C Trace Context)."""

    request_id: str | None = None
    job_id: str | None = None
    traceparent: str | None = None

    def fields(self) -> dict[str, str]:
        """For a log line."""
        known = {"request_id": self.request_id, "job_id": self.job_id}
        return {name: value for name, value in known.items() if value is not None}


CURRENT: ContextVar[Correlation | None] = ContextVar("correlation", default=None)


def concerns(job_id: str) -> Correlation:
    """From now on, the request in hand is about this job. Returns its correlation; an empty one outside of requests."""
    current = CURRENT.get() or Correlation()
    current.job_id = job_id
    return current


def request_id(wished: str | None) -> str | None:
    """What the client calls its request, if it may be called that."""
    return wished if wished and _REQUEST_ID.fullmatch(wished) else None
