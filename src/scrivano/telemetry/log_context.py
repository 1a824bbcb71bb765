"""The ids of the request and the job in progress, which each log line shows wherever in the code it is written."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["LOG_CONTEXT", "LogContext", "set_job", "valid_request_id"]

# Only characters that have no special meaning in a log, a shell or a header.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}")


@dataclass(slots=True)
class LogContext:
    """One HTTP request, or one webhook call. `traceparent`: the span that new spans belong to (W3C Trace Context).

    Mutable, because the threads and tasks of a request share it: a job id that is set in one is then logged by all.
    """

    request_id: str | None = None
    job_id: str | None = None
    traceparent: str | None = None

    def fields(self) -> dict[str, str]:
        """The fields of a log line."""
        known = {"request_id": self.request_id, "job_id": self.job_id}
        return {name: value for name, value in known.items() if value is not None}


LOG_CONTEXT: ContextVar[LogContext | None] = ContextVar("log_context", default=None)


def set_job(job_id: str) -> LogContext:
    """Set the job of the current request. Returns the request's context; outside of a request, a new one."""
    current = LOG_CONTEXT.get() or LogContext()
    current.job_id = job_id
    return current


def valid_request_id(value: str | None) -> str | None:
    """The request id that a client sent, if it is valid; else None."""
    return value if value and _REQUEST_ID.fullmatch(value) else None
