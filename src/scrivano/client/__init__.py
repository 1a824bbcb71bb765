"""Python client. It speaks HTTP, and imports nothing that only a server needs.

May import: domain.

Modules, each may import only those below it:

    client  one method for each route
    sse     parse a stream of Server-Sent Events
"""

from scrivano.client.client import (
    Client,
    ClientError,
    Ended,
    Event,
    JobCancelled,
    JobFailed,
    JobView,
    ModelStatus,
    NotFound,
    NotReady,
    StatusError,
    TookTooLong,
    Unreachable,
)

__all__ = [
    "Client",
    "ClientError",
    "Ended",
    "Event",
    "JobCancelled",
    "JobFailed",
    "JobView",
    "ModelStatus",
    "NotFound",
    "NotReady",
    "StatusError",
    "TookTooLong",
    "Unreachable",
]
