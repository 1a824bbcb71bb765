"""This server, as the watcher of a folder uses it. Its calls block, on a worker thread of the event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

from anyio import from_thread
from anyio.to_thread import run_sync

from scrivano.domain.errors import (
    BadRequest,
    JobFailed,
    JobNotFound,
    ScrivanoError,
    ServerStopping,
    TooLarge,
)
from scrivano.domain.file_names import valid_name
from scrivano.domain.job import JobStatus, Task
from scrivano.submission.job_request import JobRequest
from scrivano.submission.submissions import Submissions
from scrivano.submission.waiter import Waiter
from scrivano.watch.transcriber import Done, Failed, Gone, Outcome, TryLater

__all__ = ["FolderTranscriber"]

READ_BYTES = 1024 * 1024


class FolderTranscriber:
    """Its jobs belong to no API key. `stopping`: the server stops, so no more of a file is read."""

    def __init__(self, submissions: Submissions, waiter: Waiter, stopping: Callable[[], bool]) -> None:
        self._submissions = submissions
        self._waiter = waiter
        self._stopping = stopping

    def submit(self, recording: Path, key: str) -> str | Failed:
        try:
            return from_thread.run(self._submit, recording, key)
        except (BadRequest, TooLarge) as error:
            return Failed(str(error))
        except ServerStopping:
            raise
        except ScrivanoError as error:
            raise TryLater(str(error)) from error

    def outcome(self, job_id: str) -> Outcome | None:
        store = self._waiter.store
        try:
            status = store.get_job(job_id).status
            if not status.terminal:
                return None
            return Gone() if status is JobStatus.CANCELLED else Done(self._waiter.stored_transcript(job_id))
        except JobNotFound:
            return Gone()
        except JobFailed as error:
            return Failed(str(error))

    async def _submit(self, recording: Path, key: str) -> str:
        request = JobRequest(task=Task.TRANSCRIBE, language=None, filename=valid_name(recording.name))
        return await self._submissions.submit_file(self._chunks(recording), request, idempotency_key=key)

    async def _chunks(self, recording: Path) -> AsyncIterator[bytes]:
        with recording.open("rb") as file:
            while data := await run_sync(file.read, READ_BYTES):
                if self._stopping():
                    raise ServerStopping
                yield data
