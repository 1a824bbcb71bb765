"""Submit a recording in several requests: an upload that becomes a job when its last bytes have arrived."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial

from scrivano.auth.keys import ANONYMOUS, Caller
from scrivano.domain.errors import ScrivanoError, StorageUnreachable
from scrivano.running.executor import Executor
from scrivano.store.uploads import PartialUpload
from scrivano.store.wake_ups import WakeUps
from scrivano.submission.admission import Admission
from scrivano.submission.disk_sink import upload_limit
from scrivano.submission.form_fields import FormFields
from scrivano.submission.job_intake import JobIntake
from scrivano.submission.job_request import JobRequest, parse_job_request
from scrivano.submission.model_names import ServedModels
from scrivano.submission.request_body import BodyInterrupted, RequestBody
from scrivano.submission.resumable_uploads import ResumableUploads, remaining_limit
from scrivano.submission.tus_headers import Checksum, parse_metadata

__all__ = ["ResumableJobs"]

logger = logging.getLogger(__name__)

# How often uploads that could not be stored are tried again.
STORE_RETRY_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumableJobs:
    """`models`: those that are served, the default one first. `max_upload_bytes` None: no limit. `unstored`: ids of
    uploads that are whole and are to become jobs."""

    uploads: ResumableUploads
    admission: Admission
    intake: JobIntake
    executor: Executor
    wake_ups: WakeUps
    new_id: Callable[[], str]
    models: ServedModels
    max_upload_bytes: int | None
    unstored: set[str] = field(default_factory=set)

    async def start(self, size_bytes: int, metadata: str, caller: Caller, *, body_bytes: int = 0) -> PartialUpload:
        """An upload without any bytes yet. `metadata`: the fields of the job, as the header `Upload-Metadata` has them.
        `body_bytes`: the announced size of a body that is to be received next.

        The job is checked now, before a byte is sent. The model's state does not matter: the job waits for its model.
        Raises `BadRequest`, `TooLarge`, `WorkerGone`, `QueueFull`, `LimitReached`, `StorageFull`.
        """
        upload_limit(self.max_upload_bytes).check(size_bytes)
        remaining_limit(size_bytes).check(body_bytes)
        await self.admission.check_queue(self._job_request(metadata), caller)
        return await self.uploads.start(self.new_id(), size_bytes, metadata, caller.owner)

    async def get(self, upload_id: str, caller: Caller) -> PartialUpload:
        """An upload that this caller may see, as it is. Raises `UploadNotFound`."""
        return await self.uploads.get(upload_id, caller.sees)

    async def get_finished(self, upload_id: str, caller: Caller) -> PartialUpload:
        """As `get`, but an upload that is whole and not a job yet becomes one now.

        Raises `UploadNotFound`, `UploadElsewhere`, and what `start` does.
        """
        return await self._finish(await self.uploads.get_here(upload_id, caller.sees), caller)

    async def receive(
        self, upload: PartialUpload, offset_bytes: int, body: RequestBody, checksum: Checksum | None, caller: Caller
    ) -> PartialUpload:
        """Add a request's body; the last bytes make the upload a job. When the server stops, it is as if the connection
        ended: the bytes that arrived count.

        Raises what `ResumableUploads.receive` and `start` do.
        """
        remaining_limit(upload.size_bytes - offset_bytes).check(body.size_bytes or 0)  # before anything is read
        with self.admission.uploading():
            upload = await self.uploads.receive(
                upload.id,
                offset_bytes,
                self._until_stop(upload.id, body.chunks),
                checksum=checksum,
                on_long=partial(self.executor.load, self._job_request(upload.metadata).model),
            )
            return await self._finish(upload, caller)

    async def delete(self, upload_id: str, caller: Caller) -> None:
        """The job that the upload has become stays. Raises `UploadNotFound`."""
        await self.uploads.delete((await self.get(upload_id, caller)).id)

    async def run(self) -> None:
        """Make jobs of uploads that are whole: at first of those that were it when an earlier process ended, then of
        those whose recordings could not be stored. Ends when it is cancelled."""
        self.unstored.update(upload.id for upload in await self.uploads.pending())
        while True:
            for upload_id in sorted(self.unstored):
                self.unstored.discard(upload_id)
                try:
                    await self._finish(await self.uploads.get(upload_id), ANONYMOUS)
                except ScrivanoError as error:  # raised again when a client asks for the upload, until it expires
                    logger.warning("an upload did not become a job: %s", error, extra={"upload_id": upload_id})
            await asyncio.sleep(STORE_RETRY_S)

    async def _finish(self, upload: PartialUpload, caller: Caller) -> PartialUpload:
        if not upload.whole or upload.job_id is not None:
            return upload
        await self.uploads.finish_once(upload.id, partial(self._make_job, upload.id, caller))
        return await self.uploads.get(upload.id)

    async def _make_job(self, upload_id: str, caller: Caller) -> str:
        upload = await self.uploads.get(upload_id)
        if upload.job_id is not None:
            return upload.job_id
        job_request = self._job_request(upload.metadata)
        await self.admission.check_queue(job_request, caller)
        try:
            blob = await self.uploads.settle(upload)
        except StorageUnreachable:
            self.unstored.add(upload_id)
            raise
        return await self.intake.accept_upload(upload, blob, job_request, caller)

    async def _until_stop(self, upload_id: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks, until the server stops. Raises `BodyInterrupted`."""
        body = aiter(chunks)
        with self.wake_ups.watch(f"upload {upload_id}") as stop_event:  # a key of its own: only `stop` fires it
            stopping = asyncio.create_task(stop_event.wait())
            try:
                while not self.wake_ups.stopping:
                    async with asyncio.timeout(None) as timeout:
                        stopping.add_done_callback(expire := partial(_expire, timeout))
                        chunk = await anext(body, None)
                    stopping.remove_done_callback(expire)
                    if chunk is None:
                        return
                    yield chunk
            except TimeoutError:
                pass
            finally:
                stopping.cancel()
        raise BodyInterrupted

    def _job_request(self, metadata: str) -> JobRequest:
        """Raises `BadRequest`."""
        values = parse_metadata(metadata)
        fields = FormFields({name: [value] for name, value in values.items()})
        return parse_job_request(fields, values.get("filename"), self.models)


def _expire(timeout: asyncio.Timeout, stopping: asyncio.Task[bool]) -> None:
    if not stopping.cancelled():
        timeout.reschedule(0)
