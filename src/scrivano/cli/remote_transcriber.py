"""A server elsewhere, as the watcher uses it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scrivano.client import Client, ClientError, JobFailed, NoSuchJob, StatusError
from scrivano.watch.transcriber import Done, Failed, Gone, NoServer, Outcome, TryLater

__all__ = ["RemoteTranscriber"]

# The server refuses this recording or these options, now and later: no recording, a bad field, too large.
REFUSED = frozenset({400, 413, 415, 422})

# The server itself responds, and will take recordings again: its queue or its disk is full.
BUSY = frozenset({429, 507})


class RemoteTranscriber:
    """`request`: further arguments of `Client.submit`."""

    def __init__(self, client: Client, request: Mapping[str, Any]) -> None:
        self._client = client
        self._request = request

    def submit(self, recording: Path, key: str) -> str | Failed:
        try:
            return self._client.submit(recording, queue=True, idempotency_key=key, **self._request)
        except StatusError as error:
            if error.status in REFUSED:
                return Failed(error.message)
            raise _later(error) from error
        except ClientError as error:
            raise _later(error) from error

    def outcome(self, job_id: str) -> Outcome | None:
        try:
            job = self._client.get(job_id)
            if not job.ended:
                return None
            return Gone() if job.status == "cancelled" else Done(job.transcript)
        except JobFailed as error:
            return Failed(str(error))
        except NoSuchJob:
            return Gone()
        except ClientError as error:
            raise _later(error) from error


def _later(error: ClientError) -> TryLater:
    busy = isinstance(error, StatusError) and error.status in BUSY
    return TryLater(str(error)) if busy else NoServer(str(error))
