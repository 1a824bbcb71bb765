"""What calls of the client raise.

ClientError (a ScrivanoError)
├── Unreachable          no response: refused, dropped, timed out
├── StatusError          the server answered with an error; `status` and its message
│   ├── NoSuchJob        404
│   ├── AlreadyEnded     409: the job has already ended
│   └── NotReady         503: the model is not loaded; `state`, `retry_after_s`
├── JobFailed            the job ended without a transcript; `job`
├── JobCancelled         the job was cancelled; `job`
└── WaitTimeout          the caller's deadline has passed

`JobFailed` and `JobCancelled` are in `snapshots`, since they have the job.
"""

from __future__ import annotations

from scrivano.domain.errors import ScrivanoError

__all__ = ["AlreadyEnded", "ClientError", "NoSuchJob", "NotReady", "StatusError", "Unreachable", "WaitTimeout"]


class ClientError(ScrivanoError):
    code = "client"


class Unreachable(ClientError):
    code = "unreachable"


class StatusError(ClientError):
    code = "refused"

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class NoSuchJob(StatusError):
    code = "not_found"


class AlreadyEnded(StatusError):
    code = "ended"


class NotReady(StatusError):
    """`state`: the model's state. `retry_after_s`: when the server wants the next attempt, in seconds."""

    code = "not_ready"

    def __init__(self, message: str, state: str | None, retry_after_s: float) -> None:
        super().__init__(503, message)
        self.state = state
        self.retry_after_s = retry_after_s


class WaitTimeout(ClientError):
    code = "took_too_long"
