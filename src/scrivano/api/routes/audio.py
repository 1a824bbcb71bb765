"""`/jobs/{id}/audio`: the recording as it was uploaded, while it is stored."""

from __future__ import annotations

import mimetypes
import os
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Header
from fastapi.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from scrivano.api.routes.jobs import JobId
from scrivano.api.routes.transcripts import disposition
from scrivano.api.routing import Router
from scrivano.api.schemas import ErrorResponse
from scrivano.api.services import BlobsDep, CallerDep, StoreDep
from scrivano.auth.keys import Scope as KeyScope
from scrivano.domain.errors import AudioGone
from scrivano.domain.job import Job

router = Router(tag="jobs")


@router.head("/jobs/{job_id}/audio", include_in_schema=False)
@router.get(
    "/jobs/{job_id}/audio",
    summary="A job's recording",
    response_class=Response,
    responses={
        200: {"content": {"audio/*": {}, "video/*": {}, "application/octet-stream": {}}},
        206: {"description": "The part that the header `Range` asked for."},
        404: {"model": ErrorResponse, "description": "No such job, or its recording is not stored."},
        416: {"model": ErrorResponse, "description": "The recording has no such part."},
    },
)
@router.requires(KeyScope.READ, stream_token=True)
async def audio(
    job_id: JobId,
    store: StoreDep,
    blobs: BlobsDep,
    caller: CallerDep,
    range_header: Annotated[
        str | None, Header(alias="Range", description="Only these bytes.", examples=["bytes=0-999"])
    ] = None,
) -> Response:
    """It is stored until the job is done; with `KEEP_AUDIO=true`, or if the job failed, longer. Players can seek."""

    def open_recording() -> tuple[Job, int]:
        job = store.get_job(job_id, owner=caller.sees)
        try:
            return job, os.open(blobs.path(job.recording_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise AudioGone(job_id) from error

    job, file = await run_sync(open_recording)
    size_bytes = os.fstat(file).st_size
    if range_header is not None and not _is_satisfiable(range_header, size_bytes):
        os.close(file)
        message = f"the recording has {size_bytes} bytes; ask for a part of it, such as 'Range: bytes=0-999'"
        return ErrorResponse(error=message).response(416, {"Content-Range": f"bytes */{size_bytes}"})
    path = PurePosixPath(job.filename or "")
    return OpenFileResponse(
        file,
        media_type=_media_type(path.name),
        headers={
            "Content-Disposition": disposition(job.filename, job.id, _extension(path)),
            "X-Content-Type-Options": "nosniff",
        },
    )


class OpenFileResponse(FileResponse):
    """Sends an open file and closes it.

    An open file stays complete if it is deleted while it is sent; a path would promise a length and then fail.
    """

    def __init__(self, file: int, *, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(f"/dev/fd/{file}", stat_result=os.fstat(file), media_type=media_type, headers=headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            os.close(self._file)


# One range of a `Range` header. 18 digits fit into 64 bits.
_RANGE = re.compile(r"(\d{0,18})-(\d{0,18})", re.ASCII)


def _is_satisfiable(range_header: str, size_bytes: int) -> bool:
    """Whether the recording has all the ranges.

    `FileResponse` sends ranges, but it reports an invalid one as plain text (400 or 416), and ignores it among others.
    """
    if not range_header.startswith("bytes="):
        return False
    ranges = [_RANGE.fullmatch(part.strip()) for part in range_header.removeprefix("bytes=").split(",")]
    return all(match and _exists(match[1], match[2], size_bytes) for match in ranges)


def _exists(first: str, last: str, size_bytes: int) -> bool:
    """`first` empty: `last` counts bytes from the end. `last` empty: up to the end."""
    if not first:
        return bool(last) and int(last) > 0
    return int(first) < size_bytes and (not last or int(first) <= int(last))


def _media_type(name: str) -> str:
    """From the extension of the name, but only types that a browser does not execute."""
    guessed = mimetypes.guess_type(name)[0] or ""
    return guessed if guessed.startswith(("audio/", "video/")) else "application/octet-stream"


def _extension(path: PurePosixPath) -> str:
    given = path.suffix[1:]
    return given.lower() if given.isascii() and given.isalnum() and len(given) <= 8 else "bin"
