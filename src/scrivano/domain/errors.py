"""Every exception of Scrivano, and the HTTP status of those that a caller can meet.

ScrivanoError
├── BadRequest            what the caller sent cannot be used
│   ├── MultipartError
│   ├── AddressRefused    a URL that leads where this server does not call
│   └── FetchFailed       the recording at a URL could not be had
├── NoKey                 a request without a key that this server knows
├── NotAllowed            a key without the scope that the request takes
├── LimitReached          a key has used up one of its limits; it says when to come back
├── UploadStalled         a body that came too slowly, or no more
├── KeyReused             an Idempotency-Key that stands for another submission
├── TooLarge              an upload over this server's limit
├── UploadNotFound        an upload that never was, is over, or was deleted
├── UploadConflict        an upload is not where the client believes it to be
├── UploadTaken           a later request goes on with this upload
├── ChecksumMismatch      what arrived is not what was sent
├── WrongContentType      a body of a kind that the route does not take
├── WrongTusVersion       another version of the tus protocol
├── JobNotFound
├── DeliveryNotFound      no webhook delivery has this id
├── ModelNotFound         a model that this server does not serve
├── JobTerminal           the job has ended already
├── JobUnfinished         the job has not ended yet
├── JobNotRetriable       a job that cannot be tried again
├── TranscriptNotReady    a job that has no transcript to show
├── AudioGone             the job's recording is not kept
├── ModelNotReady         the model is not loaded; it says when to come back
├── QueueFull             too many jobs wait; it says when to come back
├── JobFailed             a synchronous call's job ended without a transcript
│   └── JobCancelled
├── ServerStopping        the server ends; the job goes on when it is back
├── WorkerGone            the runner ended for good
├── StorageFull           no room for an upload
├── StartError            the server cannot start (exit code 2)
├── MediaError            the recording cannot be prepared; fails its own job
└── EngineError           the model could not do its work
    ├── EngineInput       this chunk cannot be decoded; another can
    ├── EngineMemory      the device (or the machine) lacks memory
    ├── EngineDevice      the device is lost to this process; a new one may work
    └── ModelUnavailable  the model cannot be found, downloaded or read
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "HTTP_STATUS",
    "AddressRefused",
    "AudioGone",
    "BadParameter",
    "BadRequest",
    "ChecksumMismatch",
    "DeliveryNotFound",
    "EngineDevice",
    "EngineError",
    "EngineInput",
    "EngineMemory",
    "FetchFailed",
    "JobCancelled",
    "JobFailed",
    "JobNotFound",
    "JobNotRetriable",
    "JobTerminal",
    "JobUnfinished",
    "KeyReused",
    "LimitReached",
    "MediaError",
    "ModelNotFound",
    "ModelNotReady",
    "ModelUnavailable",
    "MultipartError",
    "NoKey",
    "NotAllowed",
    "QueueFull",
    "RecordingRefused",
    "ScrivanoError",
    "ServerStopping",
    "StartError",
    "StorageFull",
    "TooLarge",
    "TranscriptNotReady",
    "UploadConflict",
    "UploadNotFound",
    "UploadStalled",
    "UploadTaken",
    "WorkerGone",
    "WrongContentType",
    "WrongTusVersion",
]


class ScrivanoError(Exception):
    """Base of all. `code` is public and stable; the message tells the reader what to do.

    `job_id`: the job that a synchronous call had become when it failed.
    """

    code = "error"
    job_id: str | None = None


class BadRequest(ScrivanoError):
    code = "bad_request"


class MultipartError(BadRequest):
    code = "multipart_error"


class AddressRefused(BadRequest):
    code = "address_refused"


class FetchFailed(BadRequest):
    code = "fetch_failed"


class BadParameter(BadRequest):
    """`param` is the field's name as the protocol has it."""

    code = "invalid_value"

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class RecordingRefused(BadRequest):
    """`code` is the job's: `not_media`, `no_audio`, `too_long`, …"""

    def __init__(self, job_id: str, code: str, message: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.code = code


class NoKey(ScrivanoError):
    """`shown`: there was a key, and it is none of this server's."""

    code = "invalid_api_key"

    def __init__(self, shown: bool) -> None:
        what = "this API key is not known here, or was revoked" if shown else "this server takes API keys"
        super().__init__(f"{what}: send one as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
        self.shown = shown


class NotAllowed(ScrivanoError):
    """`scopes`: each of them would do."""

    code = "insufficient_scope"

    def __init__(self, scopes: Sequence[str]) -> None:
        super().__init__(f"this API key may not do that: it takes a key with the scope {' or '.join(scopes)}")
        self.scopes = scopes


class LimitReached(ScrivanoError):
    """`retry_after_secs`: whole seconds."""

    code = "rate_limit_exceeded"

    def __init__(self, message: str, retry_after_secs: int) -> None:
        super().__init__(message)
        self.retry_after_secs = retry_after_secs


class UploadStalled(ScrivanoError):
    code = "upload_stalled"

    def __init__(self) -> None:
        super().__init__("the body came too slowly, or no more: send it again, faster than UPLOAD_MIN_BYTES_PER_SEC")


class KeyReused(ScrivanoError):
    code = "key_reused"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another recording or other parameters; use a new one")


class TooLarge(ScrivanoError):
    code = "too_large"


class UploadNotFound(ScrivanoError):
    code = "upload_not_found"

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"upload {upload_id} not found: it was deleted, or its time is over; begin a new one")


class UploadConflict(ScrivanoError):
    code = "upload_conflict"

    def __init__(self, offset_bytes: int, given: int) -> None:
        super().__init__(f"Upload-Offset must be {offset_bytes}, not {given}: ask with HEAD where to go on")


class UploadTaken(ScrivanoError):
    code = "upload_taken"

    def __init__(self) -> None:
        super().__init__("a later request goes on with this upload; ask with HEAD where it is")


class ChecksumMismatch(ScrivanoError):
    code = "checksum_mismatch"

    def __init__(self) -> None:
        super().__init__("what arrived does not match Upload-Checksum, and was thrown away; send it again")


class WrongContentType(ScrivanoError):
    code = "wrong_content_type"


class WrongTusVersion(ScrivanoError):
    code = "wrong_tus_version"


class JobNotFound(ScrivanoError):
    code = "job_not_found"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} not found")


class DeliveryNotFound(ScrivanoError):
    code = "delivery_not_found"

    def __init__(self, delivery_id: str) -> None:
        super().__init__(f"delivery {delivery_id} not found; GET /webhooks/deliveries lists them")


class ModelNotFound(ScrivanoError):
    code = "model_not_found"
    param = "model"

    def __init__(self, name: str, served: Sequence[str]) -> None:
        names = " and ".join(f"'{one}'" for one in served)
        super().__init__(f"the model '{name}' does not exist here; this server has {names}")


class JobTerminal(ScrivanoError):
    code = "job_terminal"

    def __init__(self, job_id: str, status: str) -> None:
        super().__init__(f"job {job_id} is already in terminal state {status}")


class JobUnfinished(ScrivanoError):
    code = "job_unfinished"

    def __init__(self, job_id: str, status: str) -> None:
        super().__init__(f"job {job_id} is still {status}; cancel it first, or wait for its end")


class JobNotRetriable(ScrivanoError):
    code = "job_not_retriable"


class TranscriptNotReady(ScrivanoError):
    code = "transcript_not_ready"

    def __init__(self, job_id: str, status: str) -> None:
        hint = {
            "failed": "its error says why",
            "cancelled": "submit the recording again",
        }
        later = "wait until it is done, or ask with partial=true for what is known so far"
        super().__init__(f"job {job_id} is {status} and has no transcript; {hint.get(status, later)}")


class AudioGone(ScrivanoError):
    code = "audio_gone"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"the recording of job {job_id} is not kept; KEEP_AUDIO=true keeps those of jobs to come")


class ModelNotReady(ScrivanoError):
    """`state` is the model's, `retry_after_secs` whole seconds."""

    code = "model_not_ready"

    def __init__(self, state: str, retry_after_secs: int) -> None:
        super().__init__("model_not_ready")
        self.state = state
        self.retry_after_secs = retry_after_secs


class QueueFull(ScrivanoError):
    """`retry_after_secs`: whole seconds."""

    code = "queue_full"

    def __init__(self, waiting: int, retry_after_secs: int) -> None:
        super().__init__(f"{waiting} jobs wait already, as many as this server's MAX_QUEUE allows; try again later")
        self.retry_after_secs = retry_after_secs


class JobFailed(ScrivanoError):
    """`code` is the job's."""

    def __init__(self, job_id: str, code: str, message: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.code = code


class JobCancelled(JobFailed):
    def __init__(self, job_id: str) -> None:
        super().__init__(job_id, "job_cancelled", f"job {job_id} was cancelled")


class ServerStopping(ScrivanoError):
    code = "server_stopping"
    retry_after_secs = 5

    def __init__(self) -> None:
        super().__init__("the server is stopping; the job is kept: send the same request again when the server is back")


class WorkerGone(ScrivanoError):
    code = "worker_gone"

    def __init__(self) -> None:
        super().__init__("worker channel closed")


class StorageFull(ScrivanoError):
    code = "storage_full"


class StartError(ScrivanoError):
    code = "start"


class MediaError(ScrivanoError):
    """`code` says which: `not_media`, `no_audio`, `too_long`, `media_timeout`, `media_crashed`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class EngineError(ScrivanoError):
    code = "engine"


class EngineInput(EngineError):
    code = "engine_input"


class EngineMemory(EngineError):
    code = "engine_memory"


class EngineDevice(EngineError):
    code = "engine_device"


class ModelUnavailable(EngineError):
    code = "model_unavailable"


# A subclass has its nearest ancestor's status; what is not named here is a 500.
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
