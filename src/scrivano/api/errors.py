"""Errors as responses. The status of an error is the same in all protocols; its body is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import Response

from scrivano.api.routing import ErrorFormat
from scrivano.api.schemas import ErrorResponse, NotReadyResponse, OpenAIError, OpenAIErrorResponse
from scrivano.domain.errors import (
    AudioGone,
    BadRequest,
    ChecksumMismatch,
    DatabaseUnreachable,
    DeliveryNotFound,
    JobCancelled,
    JobNotFound,
    JobNotRetriable,
    JobTerminal,
    JobUnfinished,
    KeyReused,
    LimitReached,
    ModelLacksMemory,
    ModelNotFound,
    ModelNotReady,
    NoKey,
    NoSpeakers,
    NotAllowed,
    QueueFull,
    ScrivanoError,
    SegmentNotFound,
    ServerStopping,
    StorageDamaged,
    StorageFull,
    StorageUnreachable,
    TooLarge,
    TooManyVoices,
    TranscriptNotReady,
    UploadConflict,
    UploadElsewhere,
    UploadNotFound,
    UploadStalled,
    UploadStopped,
    UploadTaken,
    VersionNotFound,
    VersionOfJob,
    VoiceNotFound,
    VoicesOff,
    WaveformNotReady,
    WorkerGone,
    WrongContentType,
    WrongTusVersion,
)
from scrivano.running.model_state import ModelState

__all__ = [
    "JOB_ID_HEADER",
    "TUS_HEADERS",
    "TUS_VERSION",
    "Problem",
    "error_response",
    "http_status",
    "invalid_request",
    "openai_error",
    "problem_of",
]

# On every response to a synchronous call: the id of its job.
JOB_ID_HEADER = "X-Job-Id"

# The message of an error without a body.
REASON_HEADER = "X-Error"
MAX_REASON_CHARS = 500

TUS_VERSION = "1.0.0"
# The protocol requires it on every response below `/uploads`, and `Tus-Version` on every error there.
TUS_HEADERS = {"Tus-Resumable": TUS_VERSION}

# A subclass has the status of its nearest ancestor in this table; an error that is not in it is a 500.
HTTP_STATUS: dict[type[ScrivanoError], int] = {
    BadRequest: 400,
    NoKey: 401,
    NotAllowed: 403,
    VoicesOff: 403,
    AudioGone: 404,
    DeliveryNotFound: 404,
    JobNotFound: 404,
    ModelNotFound: 404,
    SegmentNotFound: 404,
    UploadNotFound: 404,
    VersionNotFound: 404,
    VoiceNotFound: 404,
    WaveformNotReady: 404,
    UploadStalled: 408,
    JobNotRetriable: 409,
    JobTerminal: 409,
    JobUnfinished: 409,
    NoSpeakers: 409,
    TooManyVoices: 409,
    TranscriptNotReady: 409,
    UploadConflict: 409,
    VersionOfJob: 409,
    JobCancelled: 410,
    WrongTusVersion: 412,
    TooLarge: 413,
    WrongContentType: 415,
    UploadElsewhere: 421,
    KeyReused: 422,
    UploadTaken: 423,
    LimitReached: 429,
    QueueFull: 429,
    ChecksumMismatch: 460,
    StorageDamaged: 500,
    WorkerGone: 500,
    DatabaseUnreachable: 503,
    ModelLacksMemory: 503,
    ModelNotReady: 503,
    ServerStopping: 503,
    StorageUnreachable: 503,
    UploadStopped: 503,
    StorageFull: 507,
}

# They say when to try again.
RETRIABLE = (
    DatabaseUnreachable,
    LimitReached,
    ModelLacksMemory,
    ModelNotReady,
    QueueFull,
    ServerStopping,
    StorageUnreachable,
    UploadStopped,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What an error response says. `code` is stable; `param` is the field that caused it.

    `plain_body`: the body in plain formats, if it has more fields than `error`.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    plain_body: ErrorResponse | None = None

    @classmethod
    def internal(cls) -> Problem:
        """A fault of the server, which must log it."""
        return cls(status=500, message="the server failed on this request; its log says why", code="internal")


def problem_of(error: ScrivanoError) -> Problem:
    headers: dict[str, str] = {}
    plain_body = None
    if isinstance(error, RETRIABLE):
        headers["Retry-After"] = str(error.retry_after_secs)
    if isinstance(error, NoKey | NotAllowed):
        headers["WWW-Authenticate"] = _challenge(error)
    if isinstance(error, UploadStalled):
        headers["Connection"] = "close"
    if error.job_id is not None:
        headers[JOB_ID_HEADER] = error.job_id
    if isinstance(error, ModelNotReady):
        plain_body = NotReadyResponse(
            error=str(error),
            state=ModelState(error.state),
            retry_after_secs=error.retry_after_secs,
            last_error=error.last_error,
        )
    return Problem(
        status=http_status(error),
        message=str(error),
        code=error.code,
        param=getattr(error, "param", None),
        headers=headers,
        plain_body=plain_body,
    )


def invalid_request(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """`errors`: Pydantic's, with places such as `("body", "names", "S1")`; that of invalid JSON ends in a position."""
    first = errors[0]
    param = "body" if first["type"] == "json_invalid" else str(first["loc"][-1])
    reasons = "; ".join(map(_reason, errors))
    return Problem(status=400, message=reasons, code="invalid_value", param=param)


def _reason(error: Mapping[str, Any]) -> str:
    place, *path = error["loc"]
    if error["type"] == "json_invalid":
        at = f" at character {path[0]}" if path else ""
        return f"the body is no valid JSON ({error.get('ctx', {}).get('error', error['msg'])}{at})"
    if not path and error["type"] in _NO_OBJECT:
        return f"the {place} must be a JSON object"
    message = str(error["msg"]).removeprefix("Value error, ")
    if not path and error["type"] == "value_error":  # a rule about the whole body, which names its fields
        return message
    return f"{'.'.join(map(str, path)) or place}: {message}"


# Pydantic's types of an error about a value that is no object.
_NO_OBJECT = ("model_type", "model_attributes_type", "dict_type")


def _challenge(error: NoKey | NotAllowed) -> str:
    """`WWW-Authenticate` of RFC 6750."""
    if isinstance(error, NotAllowed):
        return f'Bearer realm="scrivano", error="insufficient_scope", scope="{" ".join(error.scopes)}"'
    return 'Bearer realm="scrivano"' + (', error="invalid_token"' if error.shown else "")


def http_status(error: ScrivanoError) -> int:
    return next((HTTP_STATUS[kind] for kind in type(error).__mro__ if kind in HTTP_STATUS), 500)


def error_response(format: ErrorFormat, problem: Problem) -> Response:
    headers = dict(problem.headers)
    match format:
        case ErrorFormat.EMPTY:
            headers[REASON_HEADER] = _header_text(problem.message)
            return Response(status_code=problem.status, headers=headers)
        case ErrorFormat.OPENAI:
            return openai_error(problem).response(problem.status, headers)
        case ErrorFormat.TUS:
            headers |= {**TUS_HEADERS, "Tus-Version": TUS_VERSION}
    body = problem.plain_body or ErrorResponse(error=problem.message)
    return body.response(problem.status, headers)


def _header_text(message: str) -> str:
    """Header fields are ASCII; a message may quote any text of the client."""
    return "".join(char if " " <= char <= "~" else "?" for char in message[:MAX_REASON_CHARS]).strip()


def openai_error(problem: Problem) -> OpenAIErrorResponse:
    """The body of an error of OpenAI's API, where `type` follows from the status."""
    kind = "server_error" if problem.status >= 500 else "invalid_request_error"
    if problem.status == 429:
        kind = "rate_limit_error"
    detail = OpenAIError(message=problem.message, type=kind, param=problem.param, code=problem.code)
    return OpenAIErrorResponse(error=detail)
