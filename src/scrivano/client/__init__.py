"""Python client. It uses HTTP, and imports nothing that only a server needs.

May import: domain.

Modules, each may import only those below it:

    client  one method for each route
    sse     parse a stream of Server-Sent Events
"""

from scrivano.client.client import (
    AlreadyEnded,
    Client,
    ClientError,
    JobCancelled,
    JobEvent,
    JobFailed,
    JobSnapshot,
    ModelStatus,
    NoSuchJob,
    NotReady,
    StatusError,
    Unreachable,
    Version,
    Voice,
    WaitTimeout,
)

__all__ = [
    "AlreadyEnded",
    "Client",
    "ClientError",
    "JobCancelled",
    "JobEvent",
    "JobFailed",
    "JobSnapshot",
    "ModelStatus",
    "NoSuchJob",
    "NotReady",
    "StatusError",
    "Unreachable",
    "Version",
    "Voice",
    "WaitTimeout",
]
