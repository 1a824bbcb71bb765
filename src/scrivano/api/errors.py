"""An error as each protocol's clients understand it. The status is the same everywhere; the body is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import JSONResponse, Response

from scrivano.domain.errors import (
    AudioGone,
    BadRequest,
    ChecksumMismatch,
    DeliveryNotFound,
    JobCancelled,
    JobNotFound,
    JobNotRetriable,
    JobTerminal,
    JobUnfinished,
    KeyReused,
    LimitReached,
    ModelNotFound,
    ModelNotReady,
    NoKey,
    NotAllowed,
    QueueFull,
    ScrivanoError,
    ServerStopping,
    StorageFull,
    TooLarge,
    TranscriptNotReady,
    UploadConflict,
    UploadNotFound,
    UploadStalled,
    UploadTaken,
    WorkerGone,
    WrongContentType,
    WrongTusVersion,
)

__all__ = [
    "JOB_ID_HEADER",
    "TUS_HEADERS",
    "TUS_VERSION",
    "Problem",
    "answer",
    "http_status",
    "openai_error",
    "problem_of",
]

# On every answer of a synchronous call: the job underneath.
JOB_ID_HEADER = "X-Job-Id"

TUS_VERSION = "1.0.0"
# On every answer under `/uploads`, and the versions on every refusal, as the protocol has it.
TUS_HEADERS = {"Tus-Resumable": TUS_VERSION}


# A subclass has the status of its nearest ancestor in this table; an error that is not in it is a 500.
HTTP_STATUS: dict[type[ScrivanoError], int] = {
    BadRequest: 400,
    ChecksumMismatch: 460,
    JobCancelled: 410,
    AudioGone: 404,
    DeliveryNotFound: 404,
    JobNotFound: 404,
    JobNotRetriable: 409,
    JobTerminal: 409,
    JobUnfinished: 409,
    KeyReused: 422,
    LimitReached: 429,
    ModelNotFound: 404,
    ModelNotReady: 503,
    NoKey: 401,
    NotAllowed: 403,
    QueueFull: 429,
    ServerStopping: 503,
    StorageFull: 507,
    TooLarge: 413,
    TranscriptNotReady: 409,
    UploadConflict: 409,
    UploadNotFound: 404,
    UploadTaken: 423,
    UploadStalled: 408,
    WorkerGone: 500,
    WrongContentType: 415,
    WrongTusVersion: 412,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`code` is stable; `param` is the field that it is about. `more` goes into the plain body beside `error`."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def problem_of(error: ScrivanoError) -> Problem:
    headers: dict[str, str] = {}
    more: dict[str, Any] = {}
    if isinstance(error, LimitReached | ModelNotReady | QueueFull | ServerStopping):
        headers["Retry-After"] = str(error.retry_after_secs)
    if isinstance(error, NoKey | NotAllowed):
        headers["WWW-Authenticate"] = _challenge(error)
    if isinstance(error, UploadStalled):
        headers["Connection"] = "close"
    if error.job_id is not None:
        headers[JOB_ID_HEADER] = error.job_id
    if isinstance(error, ModelNotReady):
        more = {"state": error.state, "retry_after_secs": error.retry_after_secs}
    return Problem(
        status=http_status(error),
        message=str(error),
        code=error.code,
        param=getattr(error, "param", None),
        headers=headers,
        more=more,
    )


def _challenge(error: NoKey | NotAllowed) -> str:
    """As RFC 6750 has it."""
    if isinstance(error, NotAllowed):
        return f'Bearer realm="scrivano", error="insufficient_scope", scope="{" ".join(error.scopes)}"'
    return 'Bearer realm="scrivano"' + (', error="invalid_token"' if error.shown else "")


def http_status(error: ScrivanoError) -> int:
    return next((HTTP_STATUS[kind] for kind in type(error).__mro__ if kind in HTTP_STATUS), 500)


def answer(path: str, problem: Problem) -> Response:
    """The answer to a request for `path`."""
    headers = dict(problem.headers)
    if path.startswith("/v1/"):
        return JSONResponse(openai_error(problem), problem.status, headers)
    if path in ("/asr", "/detect-language"):
        # Bazarr writes any body into the subtitle file, without a look at the status.
        return Response(status_code=problem.status, headers=headers)
    if path == "/uploads" or path.startswith("/uploads/"):
        headers |= {**TUS_HEADERS, "Tus-Version": TUS_VERSION}
    return JSONResponse({"error": problem.message, **problem.more}, problem.status, headers)


def openai_error(problem: Problem) -> dict[str, Any]:
    """The body of OpenAI's errors; `type` as there follows from the status."""
    kind = "server_error" if problem.status >= 500 else "invalid_request_error"
    if problem.status == 429:
        kind = "rate_limit_error"
    return {"error": {"message": problem.message, "type": kind, "param": problem.param, "code": problem.code}}
