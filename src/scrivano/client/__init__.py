"""Python client. It uses HTTP, and imports nothing that only a server needs.

May import: domain.

Modules, each may import only those below it:

    client     one method for each route
    snapshots  what the server has answered
    errors     what calls raise
    sse        parse a stream of Server-Sent Events
"""

from scrivano.client.client import Client
from scrivano.client.errors import AlreadyEnded, ClientError, NoSuchJob, NotReady, StatusError, Unreachable, WaitTimeout
from scrivano.client.snapshots import JobCancelled, JobEvent, JobFailed, JobSnapshot, ModelStatus, Version, Voice

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
