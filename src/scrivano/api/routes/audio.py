"""`/jobs/{id}/audio`: the recording as it was uploaded, while it is stored."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import AsyncIterator, Mapping
from email.utils import format_datetime
from pathlib import PurePosixPath
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Header, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from scrivano.api.routes.jobs import JobId
from scrivano.api.routes.transcripts import disposition
from scrivano.api.routing import Router
from scrivano.api.schemas import ErrorResponse
from scrivano.api.services import BlobsDep, CallerDep, StoreDep
from scrivano.auth.keys import Scope as KeyScope
from scrivano.domain.errors import AudioGone
from scrivano.domain.job import Job
from scrivano.files.blobs import OpenBlob

router = Router(tag="jobs")

# Read in one step, and as much memory for each client.
PIECE_BYTES = 512 * 1024


@router.head("/jobs/{job_id}/audio", include_in_schema=False)
@router.get(
    "/jobs/{job_id}/audio",
    summary="A job's recording",
    response_class=Response,
    responses={
        200: {"content": {"audio/*": {}, "video/*": {}, "application/octet-stream": {}}},
        206: {"description": "The part that the header `Range` asked for."},
        307: {"description": "Where to read it: on the S3 server itself, for a while (`BLOB_REDIRECT_SECS`)."},
        404: {"model": ErrorResponse, "description": "No such job, or its recording is not stored."},
        416: {"model": ErrorResponse, "description": "The recording has no such part."},
        503: {"model": ErrorResponse, "description": "The storage of recordings cannot be used now: try again later."},
    },
)
@router.requires(KeyScope.READ, stream_token=True)
async def audio(
    request: Request,
    job_id: JobId,
    store: StoreDep,
    blobs: BlobsDep,
    caller: CallerDep,
    range_header: Annotated[
        str | None, Header(alias="Range", description="Only these bytes.", examples=["bytes=0-999"])
    ] = None,
    if_range: Annotated[
        str | None, Header(alias="If-Range", description="`Range` counts only for this ETag or date.")
    ] = None,
) -> Response:
    """It is stored until the job is done; with `KEEP_AUDIO=true`, or if the job failed, longer. Players can seek."""

    def open_recording() -> tuple[Job, OpenBlob, str | None]:
        job = store.get_job(job_id, owner=caller.sees)
        try:
            blob = blobs.open(job.recording_id)
        except FileNotFoundError as error:
            raise AudioGone(job_id) from error
        return job, blob, blob.url if request.method == "GET" else None

    job, blob, url = await run_sync(open_recording)
    if url is not None:
        blob.close()
        return RedirectResponse(url, headers={"Cache-Control": "no-store"})
    return _response(job, blob, range_header, if_range)


def _response(job: Job, blob: OpenBlob, range_header: str | None, if_range: str | None) -> Response:
    """Closes the recording when it is sent."""
    if range_header is not None and not _is_satisfiable(range_header, blob.size_bytes):
        blob.close()
        message = f"the recording has {blob.size_bytes} bytes; ask for a part of it, such as 'Range: bytes=0-999'"
        return ErrorResponse(error=message).response(416, {"Content-Range": f"bytes */{blob.size_bytes}"})
    path = PurePosixPath(job.filename or "")
    etag = f'"{job.recording_id}"'  # a recording never changes
    part = None
    if range_header is not None and if_range in (None, etag, _http_date(blob)):
        part = _part(range_header, blob.size_bytes)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": disposition(job.filename, job.id, _extension(path)),
        "ETag": etag,
        "Last-Modified": _http_date(blob),
        "X-Content-Type-Options": "nosniff",
    }
    return BlobResponse(blob, part, media_type=_media_type(path.name), headers=headers)


class BlobResponse(StreamingResponse):
    """Sends a recording, or a part of it (start, end), and closes it. Only its header fields on `HEAD`."""

    def __init__(
        self, blob: OpenBlob, part: tuple[int, int] | None, *, media_type: str, headers: Mapping[str, str]
    ) -> None:
        start, end = part or (0, blob.size_bytes)
        length = {"Content-Length": str(end - start)}
        if part is not None:
            length["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size_bytes}"
        super().__init__(
            self._pieces(start, end), 200 if part is None else 206, {**headers, **length}, media_type=media_type
        )
        self._blob = blob

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] == "HEAD":
                await Response(status_code=self.status_code, headers=dict(self.headers))(scope, receive, send)
            else:
                await super().__call__(scope, receive, send)
        finally:
            self._blob.close()

    async def _pieces(self, start: int, end: int) -> AsyncIterator[bytes]:
        while start < end:
            piece = await run_sync(self._blob.read, start, min(PIECE_BYTES, end - start))
            if not piece:
                raise EOFError(f"the recording ends at {start} bytes, and {end} were promised")
            start += len(piece)
            yield piece


# One range of a `Range` header. 18 digits fit into 64 bits.
_RANGE = re.compile(r"(\d{0,18})-(\d{0,18})", re.ASCII)


def _is_satisfiable(range_header: str, size_bytes: int) -> bool:
    """Whether the recording has all the ranges."""
    if not range_header.startswith("bytes="):
        return False
    ranges = [_RANGE.fullmatch(part.strip()) for part in range_header.removeprefix("bytes=").split(",")]
    return all(match and _exists(match[1], match[2], size_bytes) for match in ranges)


def _exists(first: str, last: str, size_bytes: int) -> bool:
    """`first` empty: `last` counts bytes from the end. `last` empty: up to the end."""
    if not first:
        return bool(last) and int(last) > 0
    return int(first) < size_bytes and (not last or int(first) <= int(last))


def _part(range_header: str, size_bytes: int) -> tuple[int, int] | None:
    """Start and end of the one range in a satisfiable header; None for several: then all of the recording is sent."""
    ranges = range_header.removeprefix("bytes=").split(",")
    match = _RANGE.fullmatch(ranges[0].strip())
    if len(ranges) > 1 or match is None:
        return None
    first, last = match[1], match[2]
    if not first:
        return max(0, size_bytes - int(last)), size_bytes
    return int(first), min(int(last) + 1, size_bytes) if last else size_bytes


def _http_date(blob: OpenBlob) -> str:
    return format_datetime(blob.modified_at, usegmt=True)


def _media_type(name: str) -> str:
    """From the extension of the name, but only types that a browser does not execute."""
    guessed = mimetypes.guess_type(name)[0] or ""
    return guessed if guessed.startswith(("audio/", "video/")) else "application/octet-stream"


def _extension(path: PurePosixPath) -> str:
    given = path.suffix[1:]
    return given.lower() if given.isascii() and given.isalnum() and len(given) <= 8 else "bin"
