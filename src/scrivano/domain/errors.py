"""Every exception of Scrivano. The HTTP status of each is in `api.errors`.

ScrivanoError
├── BadRequest            the request is not valid
│   ├── MultipartError
│   ├── AddressRefused    a URL leads to an address that this server does not call
│   ├── FetchFailed       the recording at a URL could not be downloaded
│   ├── BadParameter      a field of the request is not valid
│   └── RecordingRefused  a synchronous call's recording could not be prepared
├── NoKey                 the request has no API key, or an unknown one
│   └── InvalidStreamToken
├── NotAllowed            the API key lacks the scope that the request needs
├── LimitReached          an API key has reached one of its limits; says when to retry
├── UploadStalled         the body arrived too slowly, or stopped
├── UploadStopped         the server stops before the body is complete
├── KeyReused             an Idempotency-Key was used for another submission
├── TooLarge              the upload exceeds this server's limit
├── UploadNotFound        the upload does not exist, has expired, or was deleted
├── UploadElsewhere       the bytes of the upload are at another server
├── UploadConflict        the client's offset is not the upload's
├── UploadTaken           a later request continues this upload
├── ChecksumMismatch      the received bytes do not match the client's checksum
├── WrongContentType      the route does not accept a body of this type
├── WrongTusVersion       the client uses another version of the tus protocol
├── JobNotFound
├── DeliveryNotFound      no webhook delivery has this id
├── ModelNotFound         this server does not serve the model
├── JobTerminal           the job has ended already
├── JobUnfinished         the job has not ended yet
├── JobNotRetriable       the job cannot be retried
├── VersionNotFound       the job has no version of this number
├── VersionOfJob          a version is deleted with its job
├── NoSpeakers            the job has no speakers
├── VoicesOff             this server keeps no voices
├── VoiceNotFound
├── TooManyVoices         an API key has enrolled as many as it may
├── TranscriptNotReady    the job has no transcript
├── SegmentNotFound       the transcript has no segment with this number
├── AudioGone             the job's recording is no longer stored
├── WaveformNotReady      the job's recording was not drawn
├── ModelNotReady         the model is not loaded; says when to retry
│   └── NoDispatcher      a caller has waited long enough for a dispatcher; says when to retry
├── QueueFull             too many jobs are waiting; says when to retry
├── JobFailed             a synchronous call's job ended without a transcript
│   └── JobCancelled
├── ServerStopping        the server is stopping; the job continues after its restart
├── WorkerGone            the runner has ended and does not restart
├── StorageFull           not enough disk space
├── DatabaseUnreachable   PostgreSQL cannot be used now; says when to retry
│   └── WriteConflict     nothing was written, because of another transaction; may be done again at once
├── StorageUnreachable    recordings cannot be stored or read now; says when to retry
├── StorageDamaged        a stored recording is not what was stored
├── StartError            the server cannot start (exit code 2)
├── MediaError            the recording cannot be prepared; fails its job
└── EngineError           the model failed
    ├── EngineInput       this chunk cannot be decoded; others can
    ├── EngineMemory      the device or the machine lacks memory
    ├── EngineDevice      the device cannot be used by this process; a new process may work
    └── ModelUnavailable  the model cannot be found, downloaded or read
        └── ModelLacksMemory  a caller has waited long enough for memory; says when to retry
"""

from __future__ import annotations

from collections.abc import Sequence

from scrivano.domain.wording import counted

__all__ = [
    "NO_DISPATCHER",
    "AddressRefused",
    "AudioGone",
    "BadParameter",
    "BadRequest",
    "ChecksumMismatch",
    "DatabaseUnreachable",
    "DeliveryNotFound",
    "EngineDevice",
    "EngineError",
    "EngineInput",
    "EngineMemory",
    "FetchFailed",
    "InvalidStreamToken",
    "JobCancelled",
    "JobFailed",
    "JobNotFound",
    "JobNotRetriable",
    "JobTerminal",
    "JobUnfinished",
    "KeyReused",
    "LimitReached",
    "MediaError",
    "ModelLacksMemory",
    "ModelNotFound",
    "ModelNotReady",
    "ModelUnavailable",
    "MultipartError",
    "NoDispatcher",
    "NoKey",
    "NoSpeakers",
    "NotAllowed",
    "QueueFull",
    "RecordingRefused",
    "ScrivanoError",
    "SegmentNotFound",
    "ServerStopping",
    "StartError",
    "StorageDamaged",
    "StorageFull",
    "StorageUnreachable",
    "TooLarge",
    "TooManyVoices",
    "TranscriptNotReady",
    "UploadConflict",
    "UploadElsewhere",
    "UploadNotFound",
    "UploadStalled",
    "UploadStopped",
    "UploadTaken",
    "VersionNotFound",
    "VersionOfJob",
    "VoiceNotFound",
    "VoicesOff",
    "WaveformNotReady",
    "WorkerGone",
    "WriteConflict",
    "WrongContentType",
    "WrongTusVersion",
]


class ScrivanoError(Exception):
    """Base class. `code` is public and stable; the message says what went wrong and what to do.

    `job_id`: the job of the synchronous call that failed, if there is one.
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
    """`param` is the field's name in the client's protocol."""

    code = "invalid_value"

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class RecordingRefused(BadRequest):
    """`code` is the error code of the job: `not_media`, `no_audio`, `too_long`, …"""

    def __init__(self, job_id: str, code: str, message: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.code = code


class NoKey(ScrivanoError):
    """`shown`: the request had a key, but an unknown or revoked one."""

    code = "invalid_api_key"

    def __init__(self, shown: bool) -> None:
        what = "this API key is unknown or was revoked" if shown else "this server requires an API key"
        super().__init__(f"{what}: send one as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'")
        self.shown = shown


class InvalidStreamToken(NoKey):
    """A token in a URL that is not accepted. `reason` continues a sentence: "this stream token …"."""

    code = "invalid_stream_token"

    def __init__(self, reason: str) -> None:
        ScrivanoError.__init__(self, f"this stream token {reason}: get a new one with POST /stream-tokens")
        self.shown = True


class NotAllowed(ScrivanoError):
    """`scopes`: any one of them is enough."""

    code = "insufficient_scope"

    def __init__(self, scopes: Sequence[str]) -> None:
        super().__init__(f"this API key may not do that: use a key with the scope {' or '.join(scopes)}")
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
        super().__init__("the body arrived too slowly or stopped: send it again, faster than UPLOAD_MIN_BYTES_PER_SEC")


class KeyReused(ScrivanoError):
    code = "key_reused"

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for another recording or other parameters; use a new one")


class TooLarge(ScrivanoError):
    code = "too_large"


class UploadNotFound(ScrivanoError):
    code = "upload_not_found"

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"upload {upload_id} not found: it was deleted or has expired; create a new upload")


class UploadElsewhere(ScrivanoError):
    code = "upload_elsewhere"

    def __init__(self, upload_id: str) -> None:
        super().__init__(
            f"the bytes of upload {upload_id} are not at this server: send all its requests to the server where it"
            " began (the balancer must keep them together); if that server is lost, create a new upload"
        )


class UploadConflict(ScrivanoError):
    code = "upload_conflict"

    def __init__(self, offset_bytes: int, given: int) -> None:
        super().__init__(f"Upload-Offset must be {offset_bytes}, not {given}: send HEAD to get the current offset")


class UploadTaken(ScrivanoError):
    code = "upload_taken"

    def __init__(self) -> None:
        super().__init__("a later request continues this upload; send HEAD to get the current offset")


class ChecksumMismatch(ScrivanoError):
    code = "checksum_mismatch"

    def __init__(self) -> None:
        super().__init__("the received bytes do not match Upload-Checksum and were discarded; send them again")


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
        super().__init__(f"job {job_id} is still {status}; cancel it first, or wait until it ends")


class JobNotRetriable(ScrivanoError):
    code = "job_not_retriable"


class VersionNotFound(ScrivanoError):
    code = "version_not_found"

    def __init__(self, job_id: str, number: int, numbers: Sequence[int]) -> None:
        has = f"the versions {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else "only version 1"
        super().__init__(f"job {job_id} has no version {number}; it has {has}")


class VersionOfJob(ScrivanoError):
    code = "version_of_job"

    def __init__(self, version_id: str, number: int, job_id: str) -> None:
        super().__init__(f"{version_id} is version {number} of job {job_id}, and is deleted with that job")


class NoSpeakers(ScrivanoError):
    code = "no_speakers"

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"job {job_id} has no speakers: a job has them when it is done, if it was submitted with speakers=true,"
            " somebody speaks in it, and they could be told apart (see its warnings)"
        )


class VoicesOff(ScrivanoError):
    code = "voices_off"

    def __init__(self) -> None:
        super().__init__("this server keeps no voices; its operator can allow it with VOICES=true")


class VoiceNotFound(ScrivanoError):
    code = "voice_not_found"

    def __init__(self, voice_id: str) -> None:
        super().__init__(f"voice {voice_id} not found; GET /voices lists those of your API key")


class TooManyVoices(ScrivanoError):
    code = "too_many_voices"

    def __init__(self, most: int) -> None:
        super().__init__(f"there are {most} voices already; delete one (DELETE /voices/{{id}})")


class TranscriptNotReady(ScrivanoError):
    code = "transcript_not_ready"

    def __init__(self, job_id: str, status: str) -> None:
        hint = {
            "failed": "its error says why",
            "cancelled": "submit the recording again",
        }
        later = "wait until it is done, or use partial=true for the text so far"
        super().__init__(f"job {job_id} is {status} and has no transcript; {hint.get(status, later)}")


class SegmentNotFound(ScrivanoError):
    code = "segment_not_found"

    def __init__(self, job_id: str, index: int, count: int) -> None:
        numbers = f"it has {counted(count, 'segment')}, numbered from 0" if count else "it has none"
        super().__init__(f"job {job_id} has no segment {index}: {numbers}")


class AudioGone(ScrivanoError):
    code = "audio_gone"

    def __init__(self, job_id: str) -> None:
        super().__init__(
            f"the recording of job {job_id} was deleted; with KEEP_AUDIO=true the server keeps recordings of later jobs"
        )


class WaveformNotReady(ScrivanoError):
    code = "waveform_not_ready"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no waveform of job {job_id}: its recording has not been read yet, or cannot be")


NO_DISPATCHER = "no dispatcher runs: start one with `scrivano dispatcher`"


class ModelNotReady(ScrivanoError):
    """`state` is the state of the model; `retry_after_secs`: whole seconds; `last_error`: why its last load failed."""

    code = "model_not_ready"

    def __init__(self, state: str, retry_after_secs: int, last_error: str | None = None) -> None:
        super().__init__("model_not_ready")
        self.state = state
        self.last_error = last_error
        self.retry_after_secs = retry_after_secs


class NoDispatcher(ModelNotReady):
    """A caller has waited long enough for a dispatcher."""

    def __init__(self, waited_s: float) -> None:
        super().__init__("unloaded", 30, NO_DISPATCHER)
        self.args = (f"{NO_DISPATCHER} (none has run for {waited_s:.0f} s); the job stays queued",)


class QueueFull(ScrivanoError):
    """`retry_after_secs`: whole seconds."""

    code = "queue_full"

    def __init__(self, waiting: int, retry_after_secs: int) -> None:
        super().__init__(
            f"the queue is full: {counted(waiting, 'job')}, the limit of this server (MAX_QUEUE); try again later"
        )
        self.retry_after_secs = retry_after_secs


class JobFailed(ScrivanoError):
    """`code` is the error code of the job."""

    def __init__(self, job_id: str, code: str, message: str) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.code = code


class JobCancelled(JobFailed):
    def __init__(self, job_id: str) -> None:
        super().__init__(job_id, "job_cancelled", f"job {job_id} was cancelled")


class UploadStopped(ScrivanoError):
    """The server stops before an upload is complete."""

    code = "server_stopping"
    retry_after_secs = 5

    def __init__(self) -> None:
        super().__init__("the server is stopping: send the recording again when the server is back")


class ServerStopping(ScrivanoError):
    code = "server_stopping"
    retry_after_secs = 5

    def __init__(self) -> None:
        super().__init__("the server is stopping; the job is kept: send the same request again when the server is back")


class WorkerGone(ScrivanoError):
    code = "worker_gone"

    def __init__(self) -> None:
        super().__init__("worker channel closed")


class DatabaseUnreachable(ScrivanoError):
    """Of a write, it is not known whether it was done. `reason` says what happened, for operators."""

    code = "database_unreachable"
    retry_after_secs = 5

    def __init__(self, reason: str) -> None:
        super().__init__("the database cannot be used now: send the request again a little later")
        self.reason = reason


class WriteConflict(DatabaseUnreachable):
    def __init__(self) -> None:
        super().__init__("another transaction was in the way")


class StorageFull(ScrivanoError):
    code = "storage_full"


class StorageUnreachable(ScrivanoError):
    """`reason` says what happened, for people."""

    code = "storage_unreachable"
    retry_after_secs = 10

    def __init__(self, reason: str) -> None:
        super().__init__(f"the storage of recordings cannot be used now ({reason}): send it again a little later")
        self.reason = reason


class StorageDamaged(ScrivanoError):
    code = "audio_damaged"

    def __init__(self, blob_id: str) -> None:
        super().__init__(
            f"the stored recording {blob_id} is not what was uploaded (its SHA-256 differs): submit it again"
        )


class StartError(ScrivanoError):
    code = "start"


class MediaError(ScrivanoError):
    """`code`: `not_media`, `no_audio`, `too_long`, `media_timeout` or `media_crashed`."""

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


class ModelLacksMemory(ModelUnavailable):
    code = "model_lacks_memory"
    retry_after_secs = 30
